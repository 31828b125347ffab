#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"
#include "edm2/io/safetensors.h"
#include "edm2/metrics/detector.h"
#include "metrics/inception_weights.h"
#include "support/detector_weights.h"
#include "support/golden.h"

namespace edm2 {
namespace {

Tensor random_pictures(int64_t count, int64_t height, int64_t width, uint64_t seed = 3) {
  at::manual_seed(seed);
  return at::randint(0, 256, {count, 3, height, width}, at::kByte);
}

/// The network written out plainly, with batch normalization as an operation of its own.
class PlainInception {
 public:
  explicit PlainInception(StateDict state) : state_(std::move(state)) {
    for (const InceptionConv& conv : inception_convs()) convs_[conv.torch_name] = conv;
  }

  Tensor features(const Tensor& pixels) const {
    Tensor x = (resize(pixels) - 128) / 128;
    x = unit("Conv2d_2b_3x3", unit("Conv2d_2a_3x3", unit("Conv2d_1a_3x3", x)));
    x = unit("Conv2d_4a_3x3", unit("Conv2d_3b_1x1", at::max_pool2d(x, 3, 2)));
    x = at::max_pool2d(x, 3, 2);
    for (const std::string block : {"Mixed_5b.", "Mixed_5c.", "Mixed_5d."})
      x = at::cat({unit(block + "branch1x1", x), chain(block + "branch5x5_", x, 2),
                   chain(block + "branch3x3dbl_", x, 3), unit(block + "branch_pool", mean(x))},
                  1);
    x = at::cat({unit("Mixed_6a.branch3x3", x), chain("Mixed_6a.branch3x3dbl_", x, 3),
                 at::max_pool2d(x, 3, 2)},
                1);
    for (const std::string block : {"Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."})
      x = at::cat({unit(block + "branch1x1", x), chain(block + "branch7x7_", x, 3),
                   chain(block + "branch7x7dbl_", x, 5), unit(block + "branch_pool", mean(x))},
                  1);
    x = at::cat({chain("Mixed_7a.branch3x3_", x, 2), chain("Mixed_7a.branch7x7x3_", x, 4),
                 at::max_pool2d(x, 3, 2)},
                1);
    for (const std::string block : {"Mixed_7b.", "Mixed_7c."}) {
      const Tensor a = unit(block + "branch3x3_1", x), b = chain(block + "branch3x3dbl_", x, 2);
      const Tensor pooled = block == "Mixed_7b." ? mean(x) : at::max_pool2d(x, 3, 1, 1);
      x = at::cat({unit(block + "branch1x1", x), unit(block + "branch3x3_2a", a),
                   unit(block + "branch3x3_2b", a), unit(block + "branch3x3dbl_3a", b),
                   unit(block + "branch3x3dbl_3b", b), unit(block + "branch_pool", pooled)},
                  1);
    }
    return at::avg_pool2d(x, 8).flatten(1);
  }

 private:
  // Pixel i of the result lies at i * W / 299 of the source.
  static Tensor resize(const Tensor& pixels) {
    const auto along = [](const Tensor& x, int64_t axis) {
      const int64_t extent = x.size(axis);
      const Tensor position = at::arange(299, at::kDouble) * static_cast<double>(extent) / 299;
      const Tensor low = position.floor().to(at::kLong);
      const Tensor high = (low + 1).clamp_max(extent - 1);
      std::vector<int64_t> shape(4, 1);
      shape[static_cast<size_t>(axis)] = 299;
      const Tensor weight = (position - low).reshape(shape);
      return x.index_select(axis, low) * (1 - weight) + x.index_select(axis, high) * weight;
    };
    return along(along(pixels.to(at::kDouble), 2), 3).to(at::kFloat);
  }
  static Tensor mean(const Tensor& x) { return at::avg_pool2d(x, 3, 1, 1, false, false); }

  Tensor unit(const std::string& name, const Tensor& x) const {
    const InceptionConv& conv = convs_.at(name);
    const auto get = [&](const char* part) { return find_tensor(state_, name + part); };
    const Tensor y = at::conv2d(x, get(".conv.weight"), {}, conv.stride, {conv.pad_h, conv.pad_w});
    return at::relu(at::batch_norm(y, get(".bn.weight"), get(".bn.bias"), get(".bn.running_mean"),
                                   get(".bn.running_var"), false, 0, 1e-3, false));
  }
  Tensor chain(const std::string& name, Tensor x, int length) const {
    for (int i = 1; i <= length; ++i) x = unit(name + std::to_string(i), x);
    return x;
  }

  StateDict state_;
  std::map<std::string, InceptionConv> convs_;
};

std::string error_of(const StateDict& state) {
  try {
    inception_weights(state);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// The same weights by NVIDIA's names.
StateDict nvidia_names(const StateDict& state) {
  StateDict result;
  for (const InceptionConv& conv : inception_convs()) {
    const auto get = [&](const char* part) { return find_tensor(state, conv.torch_name + part); };
    const Tensor scale = get(".bn.weight") * (get(".bn.running_var") + 1e-3).rsqrt();
    const std::string prefix = "layers." + conv.name;
    result.emplace_back(prefix + ".weight", get(".conv.weight"));
    result.emplace_back(prefix + ".beta", get(".bn.bias"));
    result.emplace_back(prefix + ".mean", get(".bn.running_mean"));
    result.emplace_back(prefix + ".var", scale.pow(-2) - 1e-3);
  }
  result.emplace_back("output.weight", find_tensor(state, "fc.weight"));
  return result;
}

}  // namespace

TEST(Inception, HasTheConvolutionsOfTheGraph) {
  const auto convs = inception_convs();
  EXPECT_EQ(convs.size(), 94u);
  int64_t parameters = 0;
  for (const auto& conv : convs) parameters += conv.out * conv.in * conv.kernel_h * conv.kernel_w;
  EXPECT_EQ(parameters, 21'751'136);  // as in pytorch-fid, without the output layer
}

TEST(Inception, EqualsThePlainNetwork) {
  const auto detector = load_inception(test::shared_inception_file());
  EXPECT_EQ(detector->name(), "InceptionV3Detector");
  EXPECT_EQ(detector->feature_dim(), 2048);
  const PlainInception plain(test::random_inception());
  for (const Tensor& pictures : {random_pictures(2, 64, 64), random_pictures(1, 320, 300)}) {
    const Tensor features = detector->features(pictures);
    EXPECT_EQ(features.sizes(), (at::IntArrayRef{pictures.size(0), 2048}));
    EXPECT_GE(features.min().item<float>(), 0);
    // The sampling grid of the original is not as exact as the formula.
    EXPECT_LT(test::relative_error(features, plain.features(pictures)), 1e-4);
  }
}

TEST(Inception, AnImageGivesTheSameBitsInAnyBatchAndWithAnyNumberOfThreads) {
  const auto detector = load_inception(test::shared_inception_file());
  const Tensor pictures = random_pictures(5, 32, 32);
  const Tensor whole = detector->features(pictures);
  EXPECT_TRUE(at::equal(whole.slice(0, 0, 1), detector->features(pictures.slice(0, 0, 1))));
  EXPECT_TRUE(at::equal(whole.slice(0, 1, 5), detector->features(pictures.slice(0, 1, 5))));
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  EXPECT_TRUE(at::equal(whole, detector->features(pictures)));
  at::set_num_threads(threads);
  EXPECT_EQ(detector->features(pictures.slice(0, 0, 0)).size(0), 0);
}

TEST(Inception, ReadsEveryKindOfNames) {
  const test::TempDir dir;
  const StateDict state = test::random_inception();
  const Tensor pictures = random_pictures(1, 40, 40);
  const auto original = load_inception(test::shared_inception_file());
  const Tensor expected = original->features(pictures);

  const StateDict nvidia = nvidia_names(state);
  StateDict wrapped, unnamed;
  for (size_t i = 0; i < nvidia.size(); ++i) {
    wrapped.emplace_back("module." + nvidia[i].first, nvidia[i].second);
    unnamed.emplace_back("array" + std::to_string(10000 + i), nvidia[i].second);
  }
  save_safetensors(dir / "nvidia.safetensors", nvidia);
  test::save_state(dir / "wrapped.pt", wrapped);
  write_pickle_file(dir / "unnamed.pkl", to_pickle(unnamed));
  for (const char* file : {"nvidia.safetensors", "wrapped.pt", "unnamed.pkl"})
    EXPECT_LT(test::relative_error(load_inception(dir / file)->features(pictures), expected), 1e-5)
        << file;
  const Tensor logits = load_inception(dir / "wrapped.pt")->class_logits(expected);
  EXPECT_LT(test::relative_error(logits, expected.matmul(find_tensor(state, "fc.weight").t())),
            1e-5);
  EXPECT_THROW(load_inception(dir / "unnamed.pkl")->class_logits(expected), Error);
}

TEST(Inception, OddFilesAreToldInOneSentence) {
  const StateDict good = test::random_inception();
  const auto changed = [&](const std::string& name, const Tensor& tensor) {
    StateDict state;
    for (const auto& entry : good)
      if (entry.first != name)
        state.push_back(entry);
      else if (tensor.defined())
        state.emplace_back(name, tensor);
    return error_of(state);
  };
  EXPECT_EQ(changed("Mixed_6c.branch7x7_2.conv.weight", {}),
            "the weights lack 'Mixed_6c.branch7x7_2.conv.weight'");
  EXPECT_EQ(changed("Mixed_6c.branch7x7_2.bn.bias", at::zeros({3})),
            "the weight 'Mixed_6c.branch7x7_2.bn.bias' has the shape [3] instead of [160]");
  EXPECT_NE(changed("Mixed_7c.branch1x1.bn.running_var", at::zeros({320})).find("not all positive"),
            std::string::npos);
  EXPECT_NE(error_of(test::random_dinov2()).find("this is not InceptionV3"), std::string::npos);
  EXPECT_NE(error_of({}).find("this is not InceptionV3"), std::string::npos);
  EXPECT_THROW(load_inception("absent.pth"), Error);
}

TEST(Inception, WantsThreeChannels) {
  const auto detector = load_inception(test::shared_inception_file());
  try {
    detector->features(at::zeros({1, 1, 8, 8}, at::kByte));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the pictures have 1 channels, expected 3 channels (RGB)");
  }
}

TEST(Inception, Bfloat16StaysClose) {
  const Tensor pictures = random_pictures(2, 64, 64);
  const Tensor expected = load_inception(test::shared_inception_file())->features(pictures);
  const auto half = load_inception(test::shared_inception_file(), {.precision = Precision::bf16});
  EXPECT_EQ(half->precision_name(), "bf16");
  const double error = test::relative_error(half->features(pictures), expected);
  EXPECT_LT(error, 0.1);
  EXPECT_GT(error, 1e-5);
}

}  // namespace edm2
