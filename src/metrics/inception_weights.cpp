#include "metrics/inception_weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "edm2/core/error.h"
#include "metrics/weights.h"

namespace edm2 {
namespace {

constexpr double batch_norm_epsilon = 1e-3;

/// Lists the convolutions of one block after the other.
class ConvList {
 public:
  std::vector<InceptionConv> convs;

  /// Names and size of what follows.
  void begin(std::string name, std::string torch_name, int64_t size) {
    name_ = std::move(name);
    torch_name_ = std::move(torch_name);
    size_ = size;
  }
  /// k x k without padding, or as told.
  void square(const char* name, const char* torch_name, int64_t in, int64_t out, int64_t kernel,
              int64_t stride = 1, int64_t pad = 0) {
    add(name, torch_name, in, out, kernel, kernel, stride, pad, pad);
  }
  /// 1 x 7, 7 x 1 and so on, the size kept.
  void strip(const char* name, const char* torch_name, int64_t in, int64_t out, int64_t kernel_h,
             int64_t kernel_w) {
    add(name, torch_name, in, out, kernel_h, kernel_w, 1, kernel_h / 2, kernel_w / 2);
  }

 private:
  void add(const std::string& name, const std::string& torch_name, int64_t in, int64_t out,
           int64_t kernel_h, int64_t kernel_w, int64_t stride, int64_t pad_h, int64_t pad_w) {
    convs.push_back({name_ + name, torch_name_ + torch_name, in, out, kernel_h, kernel_w, stride,
                     pad_h, pad_w, size_});
  }

  std::string name_, torch_name_;
  int64_t size_ = 0;
};

void add_stem(ConvList& list) {
  const auto one = [&](const char* name, const char* torch_name, int64_t size, int64_t in,
                       int64_t out, int64_t kernel, int64_t stride, int64_t pad) {
    list.begin("", "", size);
    list.square(name, torch_name, in, out, kernel, stride, pad);
  };
  one("conv", "Conv2d_1a_3x3", 299, 3, 32, 3, 2, 0);
  one("conv_1", "Conv2d_2a_3x3", 149, 32, 32, 3, 1, 0);
  one("conv_2", "Conv2d_2b_3x3", 147, 32, 64, 3, 1, 1);
  one("conv_3", "Conv2d_3b_1x1", 73, 64, 80, 1, 1, 0);
  one("conv_4", "Conv2d_4a_3x3", 73, 80, 192, 3, 1, 0);
}

void add_mixed_a(ConvList& list, const std::string& name, const std::string& torch_name, int64_t in,
                 int64_t pooled) {
  list.begin(name + ".", torch_name + ".", 35);
  list.square("conv", "branch1x1", in, 64, 1);
  list.square("tower.conv", "branch5x5_1", in, 48, 1);
  list.square("tower.conv_1", "branch5x5_2", 48, 64, 5, 1, 2);
  list.square("tower_1.conv", "branch3x3dbl_1", in, 64, 1);
  list.square("tower_1.conv_1", "branch3x3dbl_2", 64, 96, 3, 1, 1);
  list.square("tower_1.conv_2", "branch3x3dbl_3", 96, 96, 3, 1, 1);
  list.square("tower_2.conv", "branch_pool", in, pooled, 1);
}

void add_mixed_b(ConvList& list) {
  list.begin("mixed_3.", "Mixed_6a.", 35);
  list.square("conv", "branch3x3", 288, 384, 3, 2);
  list.square("tower.conv", "branch3x3dbl_1", 288, 64, 1);
  list.square("tower.conv_1", "branch3x3dbl_2", 64, 96, 3, 1, 1);
  list.square("tower.conv_2", "branch3x3dbl_3", 96, 96, 3, 2);
}

void add_mixed_c(ConvList& list, const std::string& name, const std::string& torch_name,
                 int64_t t) {
  list.begin(name + ".", torch_name + ".", 17);
  list.square("conv", "branch1x1", 768, 192, 1);
  list.square("tower.conv", "branch7x7_1", 768, t, 1);
  list.strip("tower.conv_1", "branch7x7_2", t, t, 1, 7);
  list.strip("tower.conv_2", "branch7x7_3", t, 192, 7, 1);
  list.square("tower_1.conv", "branch7x7dbl_1", 768, t, 1);
  list.strip("tower_1.conv_1", "branch7x7dbl_2", t, t, 7, 1);
  list.strip("tower_1.conv_2", "branch7x7dbl_3", t, t, 1, 7);
  list.strip("tower_1.conv_3", "branch7x7dbl_4", t, t, 7, 1);
  list.strip("tower_1.conv_4", "branch7x7dbl_5", t, 192, 1, 7);
  list.square("tower_2.conv", "branch_pool", 768, 192, 1);
}

void add_mixed_d(ConvList& list) {
  list.begin("mixed_8.", "Mixed_7a.", 17);
  list.square("tower.conv", "branch3x3_1", 768, 192, 1);
  list.square("tower.conv_1", "branch3x3_2", 192, 320, 3, 2);
  list.square("tower_1.conv", "branch7x7x3_1", 768, 192, 1);
  list.strip("tower_1.conv_1", "branch7x7x3_2", 192, 192, 1, 7);
  list.strip("tower_1.conv_2", "branch7x7x3_3", 192, 192, 7, 1);
  list.square("tower_1.conv_3", "branch7x7x3_4", 192, 192, 3, 2);
}

void add_mixed_e(ConvList& list, const std::string& name, const std::string& torch_name,
                 int64_t in) {
  list.begin(name + ".", torch_name + ".", 8);
  list.square("conv", "branch1x1", in, 320, 1);
  list.square("tower_conv", "branch3x3_1", in, 384, 1);
  list.strip("tower_mixed_conv", "branch3x3_2a", 384, 384, 1, 3);
  list.strip("tower_mixed_conv_1", "branch3x3_2b", 384, 384, 3, 1);
  list.square("tower_1_conv", "branch3x3dbl_1", in, 448, 1);
  list.square("tower_1_conv_1", "branch3x3dbl_2", 448, 384, 3, 1, 1);
  list.strip("tower_1_mixed_conv", "branch3x3dbl_3a", 384, 384, 1, 3);
  list.strip("tower_1_mixed_conv_1", "branch3x3dbl_3b", 384, 384, 3, 1);
  list.square("tower_2_conv", "branch_pool", in, 192, 1);
}

/// What stands behind a convolution: y = (x - mean) / sqrt(var + epsilon) * gamma + beta.
struct BatchNorm {
  Tensor gamma;  // undefined = 1
  Tensor beta, mean, var;
};

InceptionWeights::Folded fold(const Tensor& weight, const BatchNorm& norm,
                              const std::string& name) {
  if (!(norm.var > 0).all().item<bool>())
    throw Error("the variances of the batch normalization behind '" + name +
                "' are not all positive");
  const Tensor var = norm.var.to(at::kDouble);
  Tensor scale = (var + batch_norm_epsilon).rsqrt();
  if (norm.gamma.defined()) scale = scale * norm.gamma.to(at::kDouble);
  return {(weight.to(at::kDouble) * scale.reshape({-1, 1, 1, 1})).to(at::kFloat),
          (norm.beta.to(at::kDouble) - norm.mean.to(at::kDouble) * scale).to(at::kFloat)};
}

/// What the parts of a convolution with its batch norm are called behind its name.
struct PartNames {
  const char *weight, *gamma, *beta, *mean, *var;  // gamma: null = 1
};
constexpr PartNames nvidia_names = {"weight", nullptr, "beta", "mean", "var"};
constexpr PartNames torch_names = {"conv.weight", "bn.weight", "bn.bias", "bn.running_mean",
                                   "bn.running_var"};

InceptionWeights::Folded by_name(const StateDict& state, const InceptionConv& conv,
                                 const std::string& prefix, const PartNames& names) {
  const std::string name = prefix + names.weight;
  const Tensor weight =
      require_tensor(state, name, {conv.out, conv.in, conv.kernel_h, conv.kernel_w});
  const auto part = [&](const char* of) { return require_tensor(state, prefix + of, {conv.out}); };
  return fold(weight,
              {names.gamma ? part(names.gamma) : Tensor(), part(names.beta), part(names.mean),
               part(names.var)},
              name);
}

/// Unknown names: each convolution in the order of the network, its beta, mean and variance right
/// behind it.
std::vector<InceptionWeights::Folded> in_order(const StateDict& state) {
  const auto convs = inception_convs();
  const auto is_conv = [](const auto& entry) { return entry.second.dim() == 4; };
  const auto found = std::count_if(state.begin(), state.end(), is_conv);
  if (found != static_cast<std::ptrdiff_t>(convs.size()))
    throw Error("this is not InceptionV3: it has " + std::to_string(found) + " convolutions, not " +
                std::to_string(convs.size()));
  std::vector<InceptionWeights::Folded> folded;
  auto next = state.begin();
  for (const InceptionConv& conv : convs) {
    next = std::find_if(next, state.end(), is_conv);
    const std::string& name = next->first;
    const auto take = [&](at::IntArrayRef shape) {
      if (next == state.end()) throw Error("the weights end behind '" + name + "'");
      const std::string& part = (next++)->first;
      return require_tensor(state, part, shape);
    };
    const Tensor weight = take({conv.out, conv.in, conv.kernel_h, conv.kernel_w});
    const Tensor beta = take({conv.out}), mean = take({conv.out}), var = take({conv.out});
    folded.push_back(fold(weight, {{}, beta, mean, var}, name));
  }
  return folded;
}

/// What stands before a name that every file of a family has.
std::optional<std::string> prefix_before(const StateDict& state, const std::string& known) {
  for (const auto& [name, tensor] : state)
    if (name.ends_with(known)) return name.substr(0, name.size() - known.size());
  return std::nullopt;
}

}  // namespace

std::vector<InceptionConv> inception_convs() {
  ConvList list;
  add_stem(list);
  add_mixed_a(list, "mixed", "Mixed_5b", 192, 32);
  add_mixed_a(list, "mixed_1", "Mixed_5c", 256, 64);
  add_mixed_a(list, "mixed_2", "Mixed_5d", 288, 64);
  add_mixed_b(list);
  add_mixed_c(list, "mixed_4", "Mixed_6b", 128);
  add_mixed_c(list, "mixed_5", "Mixed_6c", 160);
  add_mixed_c(list, "mixed_6", "Mixed_6d", 160);
  add_mixed_c(list, "mixed_7", "Mixed_6e", 192);
  add_mixed_d(list);
  add_mixed_e(list, "mixed_9", "Mixed_7b", 1280);
  add_mixed_e(list, "mixed_10", "Mixed_7c", 2048);
  return std::move(list.convs);
}

InceptionWeights inception_weights(const StateDict& original) {
  StateDict state = original;
  InceptionWeights weights;
  const char* output = "output.weight";
  if (const auto prefix = prefix_before(state, "layers.conv.weight")) {
    strip_prefix(state, *prefix);
    for (const InceptionConv& conv : inception_convs())
      weights.convs.push_back(by_name(state, conv, "layers." + conv.name + ".", nvidia_names));
  } else if (const auto torch_prefix = prefix_before(state, "Conv2d_1a_3x3.conv.weight")) {
    strip_prefix(state, *torch_prefix);
    output = "fc.weight";
    for (const InceptionConv& conv : inception_convs())
      weights.convs.push_back(by_name(state, conv, conv.torch_name + ".", torch_names));
  } else {
    weights.convs = in_order(state);
  }
  if (find_tensor(state, output).defined())
    weights.output = require_tensor(state, output, {1008, 2048});
  return weights;
}

}  // namespace edm2
