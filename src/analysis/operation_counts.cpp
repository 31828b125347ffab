// The forward pass of src/nn/network.cpp and src/nn/layers.cpp once more, with shapes in place of
// tensors. What each operation costs is what the original's counter says.
#include "edm2/analysis/operation_counts.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <map>
#include <memory>

#include "nn/unet_plan.h"

namespace edm2 {
namespace {

using Work = Operation::Work;
using Shape = std::vector<int64_t>;

// Bytes alive, and the most there ever were.
struct MemoryAccount {
  int64_t live = 0, peak = 0;
  void add(int64_t bytes) {
    live += bytes;
    peak = std::max(peak, live);
  }
};

struct MemoryAccounts {
  MemoryAccount activations, all;
  void add(int64_t bytes, bool is_weight) {
    all.add(bytes);
    if (!is_weight) activations.add(bytes);
  }
};

// A tensor without elements: a shape, and bytes in accounts for as long as one would be alive.
// Copies share the bytes, as copies of tensors do.
class ShapeTensor {
 public:
  ShapeTensor() = default;
  ShapeTensor(Shape sizes, int64_t item_bytes, bool is_weight, MemoryAccounts& accounts)
      : sizes_(std::move(sizes)), item_bytes_(item_bytes) {
    accounts.add(bytes(), is_weight);
    storage_ = {nullptr,
                [&accounts, size = bytes(), is_weight](void*) { accounts.add(-size, is_weight); }};
  }

  const Shape& sizes() const { return sizes_; }
  int64_t size(size_t dimension) const { return sizes_[dimension]; }
  int64_t numel() const { return c10::multiply_integers(sizes_); }
  int64_t bytes() const { return numel() * item_bytes_; }
  int64_t item_bytes() const { return item_bytes_; }

 private:
  Shape sizes_;
  int64_t item_bytes_ = 0;
  std::shared_ptr<void> storage_;  // no memory, only an end
};

class PassTracer {
 public:
  PassTracer(const NetworkOptions& options, const PassOptions& pass)
      : o_(options), pass_(pass), plan_(plan_unet(options)) {}

  ForwardPass run() {
    precond();
    result_.peak_activations = accounts_.activations.peak;
    result_.peak_memory = accounts_.all.peak;
    return std::move(result_);
  }

 private:
  // ---- Bookkeeping

  ShapeTensor make(Shape sizes, int64_t item_bytes, bool is_weight = false) {
    return {std::move(sizes), item_bytes, is_weight, accounts_};
  }

  void record(const char* name, int64_t flops, int64_t bytes, const Shape& out,
              Work work = Work::elements, bool on_weights = false) {
    const bool is_image = !on_weights && out.size() == 4;
    result_.operations.push_back({name, layer_, work, on_weights, is_image ? out[2] : 0,
                                  static_cast<double>(flops), static_cast<double>(bytes)});
  }

  // A number, or one for each image.
  void scalar(const char* name, int64_t count = 1) { record(name, count, 0, {}); }

  // Elements in, elements out. `others`: bytes of further inputs.
  ShapeTensor elements(const char* name, int64_t cost, const ShapeTensor& x, int64_t others = 0) {
    ShapeTensor y = make(x.sizes(), x.item_bytes());
    record(name, cost * x.numel(), x.bytes() + y.bytes() + others, x.sizes());
    return y;
  }

  ShapeTensor cast(const ShapeTensor& x, int64_t item_bytes) {
    if (x.item_bytes() == item_bytes) return x;
    ShapeTensor y = make(x.sizes(), item_bytes);
    record("Other", 0, x.bytes() + y.bytes(), x.sizes());
    return y;
  }

  // ---- Layers

  ShapeTensor mp_silu(const ShapeTensor& x) {
    return elements("aten::div", 1, elements("aten::silu", 3, x));
  }

  ShapeTensor mp_sum(const ShapeTensor& a, const ShapeTensor& b) {
    const ShapeTensor& wide = a.numel() >= b.numel() ? a : b;  // one embedding for many labels
    const ShapeTensor& other = a.numel() >= b.numel() ? b : a;
    return elements("aten::div", 1, elements("aten::lerp", 2, wide, other.bytes()));
  }

  ShapeTensor mp_cat(const ShapeTensor& a, const ShapeTensor& b) {
    for (const char* name : {"aten::div", "aten::div", "aten::mul", "aten::mul"}) scalar(name);
    const ShapeTensor wa = elements("aten::mul", 1, a), wb = elements("aten::mul", 1, b);
    ShapeTensor y = make({a.size(0), a.size(1) + b.size(1), a.size(2), a.size(3)}, a.item_bytes());
    record("Other", 0, 2 * y.bytes(), y.sizes());
    return y;
  }

  // `groups`: number of norms.
  ShapeTensor normalize(const ShapeTensor& x, int64_t groups) {
    const ShapeTensor norm = make({groups}, 4);
    record("aten::linalg_vector_norm", x.numel(), x.bytes() + norm.bytes(), x.sizes());
    const ShapeTensor sum = make({groups}, 4);
    record("aten::add", groups, 2 * norm.bytes(), x.sizes());
    return elements("aten::div", 1, x, sum.bytes());
  }

  // Weights as the layer multiplies with them, in the type of its input.
  ShapeTensor effective_weight(const Shape& sizes, bool has_gain, int64_t item_bytes) {
    const auto on_weights = [&](const char* name, int64_t flops, int64_t bytes) {
      record(name, flops, bytes, sizes, Work::elements, true);
    };
    const int64_t rows = sizes[0], count = c10::multiply_integers(sizes), bytes = 4 * count;
    ShapeTensor wide;  // float32 weights are used as they are
    if (pass_.weight_bytes != 4) {
      wide = make(sizes, 4, true);
      on_weights("Other", 0, count * pass_.weight_bytes + bytes);
    }
    on_weights("aten::linalg_vector_norm", count, bytes + 4 * rows);
    on_weights("aten::add", rows, 8 * rows);
    ShapeTensor normalized = make(sizes, 4, true);
    on_weights("aten::div", count, 2 * bytes + 4 * rows);
    wide = {};
    if (has_gain) {
      on_weights("aten::div", 1, 0);
    } else {
      on_weights("aten::reciprocal", 1, 0);
      on_weights("aten::mul", 1, 0);
    }
    ShapeTensor scaled = make(sizes, 4, true);
    on_weights("aten::mul", count, 2 * bytes);
    normalized = {};
    if (item_bytes == 4) return scaled;
    ShapeTensor small = make(sizes, item_bytes, true);
    on_weights("Other", 0, scaled.bytes() + small.bytes());
    return small;
  }

  ShapeTensor conv(const ShapeTensor& x, int64_t out, int64_t kernel, bool has_gain = false) {
    const Shape sizes = {out, x.size(1), kernel, kernel};
    const ShapeTensor w = effective_weight(sizes, has_gain, x.item_bytes());
    ShapeTensor y = make({x.size(0), out, x.size(2), x.size(3)}, x.item_bytes());
    record("aten::_convolution", y.numel() * x.size(1) * kernel * kernel,
           x.bytes() + w.bytes() + y.bytes(), y.sizes(), Work::convolution);
    return y;
  }

  ShapeTensor linear(const ShapeTensor& x, int64_t out, bool has_gain = false) {
    const ShapeTensor w = effective_weight({out, x.size(1)}, has_gain, x.item_bytes());
    ShapeTensor y = make({x.size(0), out}, x.item_bytes());
    record("aten::matmul", y.numel() * x.size(1), x.bytes() + w.bytes() + y.bytes(), y.sizes(),
           Work::matrix_product);
    return y;
  }

  ShapeTensor resample(const ShapeTensor& x, Resample mode) {
    if (mode == Resample::keep) return x;
    const auto taps = static_cast<int64_t>(o_.resample_filter.size() * o_.resample_filter.size());
    const bool down = mode == Resample::down;
    if (!down) scalar("aten::mul", taps);  // four times the filter
    const auto scaled = [&](int64_t size) { return down ? size / 2 : size * 2; };
    ShapeTensor y =
        make({x.size(0), x.size(1), scaled(x.size(2)), scaled(x.size(3))}, x.item_bytes());
    // One channel each: as fast as memory, not as fast as convolutions.
    record("aten::_convolution", y.numel() * taps, x.bytes() + y.bytes(), y.sizes());
    return y;
  }

  ShapeTensor attention(const ShapeTensor& x, int64_t heads) {
    const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3);
    ShapeTensor qkv = conv(x, 3 * c, 1);
    scalar("aten::mul");
    qkv = normalize(qkv, n * 3 * heads * pixels);
    ShapeTensor w = make({n * heads, 1, pixels, pixels}, x.item_bytes());
    {
      const ShapeTensor keys = elements("aten::div", 1, x);  // of the size of x
      record("aten::matmul", n * pixels * pixels * c, 2 * x.bytes() + w.bytes(), x.sizes(),
             Work::matrix_product);
    }
    ShapeTensor softmax = make(w.sizes(), w.item_bytes());
    record("aten::softmax", 3 * w.numel(), w.bytes() + softmax.bytes(), x.sizes());
    w = {};
    ShapeTensor y = make(x.sizes(), x.item_bytes());
    record("aten::matmul", n * pixels * pixels * c, softmax.bytes() + 2 * x.bytes(), x.sizes(),
           Work::matrix_product);
    softmax = {};
    return conv(y, c, 1);
  }

  ShapeTensor block(ShapeTensor x, const ShapeTensor& emb, const BlockPlan& plan, bool encoder) {
    const bool has_skip = plan.in_channels != plan.out_channels;
    x = resample(x, plan.resample);
    if (encoder) {
      if (has_skip) x = conv(x, plan.out_channels, 1);
      x = normalize(x, x.size(0) * x.size(2) * x.size(3));
    }
    ShapeTensor y = conv(mp_silu(x), plan.out_channels, 3);
    const ShapeTensor c =
        elements("aten::add", 1, linear(emb, plan.out_channels, /*has_gain=*/true));
    y = mp_silu(elements("aten::mul", 1, y, cast(c, y.item_bytes()).bytes()));
    y = conv(y, plan.out_channels, 3);
    if (!encoder && has_skip) x = conv(x, plan.out_channels, 1);
    x = mp_sum(x, y);
    if (plan.num_heads > 0) x = mp_sum(x, attention(x, plan.num_heads));
    if (o_.clip_act)  // in place
      record("aten::clamp_", 2 * x.numel(), 2 * x.bytes(), x.sizes());
    return x;
  }

  ShapeTensor embed() {
    layer_ = "unet.emb_fourier";
    ShapeTensor emb = make({pass_.batch, plan_.noise_channels}, 4);
    record("aten::outer", emb.numel(), emb.bytes(), {});
    emb = elements("aten::add", 1, emb);
    emb = elements("aten::cos", 1, emb);
    emb = elements("aten::mul", 1, emb);
    layer_ = "unet.emb_noise";
    emb = linear(emb, plan_.emb_channels);
    if (o_.label_dim > 0) {
      layer_ = "unet.emb_label";
      const ShapeTensor labels = make({pass_.batch, o_.label_dim}, 4);
      emb = mp_sum(emb, linear(elements("aten::mul", 1, labels), plan_.emb_channels));
    }
    return mp_silu(emb);
  }

  ShapeTensor unet(const ShapeTensor& input) {
    const ShapeTensor emb = embed();
    layer_ = "unet";
    ShapeTensor x =
        make({input.size(0), input.size(1) + 1, input.size(2), input.size(3)}, input.item_bytes());
    record("Other", 0, input.bytes() + x.bytes(), x.sizes());
    std::vector<ShapeTensor> skips;
    for (const BlockPlan& plan : plan_.encoder) {
      layer_ = "unet.enc." + plan.name;
      x = plan.is_conv ? conv(x, plan.out_channels, 3) : block(x, emb, plan, true);
      skips.push_back(x);
    }
    for (const BlockPlan& plan : plan_.decoder) {
      layer_ = "unet.dec." + plan.name;
      if (plan.takes_skip) {
        x = mp_cat(x, skips.back());
        skips.pop_back();
      }
      x = block(x, emb, plan, false);
    }
    layer_ = "unet.out_conv";
    return conv(x, o_.img_channels, 3, /*has_gain=*/true);
  }

  void precond() {
    const Shape images = {pass_.batch, o_.img_channels, o_.img_resolution, o_.img_resolution};
    const ShapeTensor x = make(images, 4);
    for (const char* name :
         {"aten::pow", "aten::add", "aten::reciprocal", "aten::mul",                // c_skip
          "aten::mul", "aten::pow", "aten::add", "aten::sqrt", "aten::div",         // c_out
          "aten::pow", "aten::add", "aten::sqrt", "aten::reciprocal", "aten::mul",  // c_in
          "aten::log", "aten::div"})                                                // c_noise
      scalar(name, pass_.batch);
    ShapeTensor f;
    {
      const ShapeTensor scaled = cast(elements("aten::mul", 1, x), pass_.activation_bytes);
      f = cast(unet(scaled), 4);
    }
    layer_ = "";
    const ShapeTensor skip = elements("aten::mul", 1, x), out = elements("aten::mul", 1, f);
    elements("aten::add", 1, skip, out.bytes());
  }

  const NetworkOptions& o_;
  const PassOptions& pass_;
  UNetPlan plan_;
  MemoryAccounts accounts_;
  std::string layer_;
  ForwardPass result_;
};

std::vector<OperationTotal> totals(const std::vector<Operation>& operations,
                                   std::string Operation::*key) {
  std::vector<OperationTotal> result;
  std::map<std::string, size_t> positions;
  for (const Operation& operation : operations) {
    const auto [entry, is_new] = positions.emplace(operation.*key, result.size());
    if (is_new) result.push_back({operation.*key});
    OperationTotal& total = result[entry->second];
    ++total.count;
    total.flops += operation.flops;
    total.bytes += operation.bytes;
  }
  return result;
}

}  // namespace

ForwardPass trace_forward_pass(const NetworkOptions& options, const PassOptions& pass) {
  validate(options);
  return PassTracer(options, pass).run();
}

std::vector<OperationTotal> totals_by_name(const std::vector<Operation>& operations) {
  auto result = totals(operations, &Operation::name);
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& a, const auto& b) { return a.flops > b.flops; });
  return result;
}

std::vector<OperationTotal> totals_by_layer(const std::vector<Operation>& operations) {
  return totals(operations, &Operation::layer);
}

}  // namespace edm2
