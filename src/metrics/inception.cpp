// InceptionV3 as the FID knows it: the graph of TensorFlow's file of 2015-12-05.
#include <ATen/ATen.h>

#include <map>
#include <mutex>

#include "edm2/core/error.h"
#include "edm2/metrics/detector.h"
#include "metrics/inception_weights.h"
#include "metrics/weights.h"
#include "nn/fused_layers.h"

namespace edm2 {
namespace {

constexpr int64_t size = 299;

/// 3x3 average that leaves the padding out of the divisor.
Tensor average_pool(const Tensor& x) {
  return at::avg_pool2d(x, 3, 1, 1, /*ceil_mode=*/false, /*count_include_pad=*/false);
}

class InceptionV3 final : public InceptionDetector {
 public:
  InceptionV3(const InceptionWeights& weights, const DetectorOptions& options)
      : InceptionDetector(options) {
    const auto convs = inception_convs();
    for (size_t i = 0; i < convs.size(); ++i) {
      const InceptionConv& conv = convs[i];
      const auto place = at::TensorOptions(device()).dtype(dtype());
      convs_.emplace(
          conv.name,
          FusedConv(weights.convs[i].weight.to(place), weights.convs[i].bias.to(place),
                    {conv.stride, conv.pad_h, conv.pad_w, conv.input_size}, Activation::relu));
    }
    if (weights.output.defined()) output_ = weights.output.to(device());
  }

  std::string name() const override { return "InceptionV3Detector"; }
  std::string network_name() const override { return "InceptionV3"; }
  int64_t feature_dim() const override { return 2048; }
  std::string resize_method() const override { return "bilinear 299x299 (TensorFlow 1)"; }

  Tensor class_logits(const Tensor& features) const override {
    if (!output_.defined())
      throw Error("the file of InceptionV3 lacks the output layer that the Inception Score needs");
    return features.to(output_.options()).matmul(output_.t());
  }

 protected:
  Tensor forward(const Tensor& pixels) const override {
    Tensor x = (resize(pixels) - 128) / 128;  // [N,3,299,299]
    x = x.to(dtype()).contiguous(at::MemoryFormat::ChannelsLast);
    x = conv("conv_2", conv("conv_1", conv("conv", x)));  // [N,64,147,147]
    x = at::max_pool2d(x, 3, 2);                          // [N,64,73,73]
    x = conv("conv_4", conv("conv_3", x));                // [N,192,71,71]
    x = at::max_pool2d(x, 3, 2);                          // [N,192,35,35]
    for (const char* name : {"mixed", "mixed_1", "mixed_2"}) x = mixed_a(name, x);  // [N,288,35,35]
    x = mixed_b("mixed_3", x);                                                      // [N,768,17,17]
    for (const char* name : {"mixed_4", "mixed_5", "mixed_6", "mixed_7"}) x = mixed_c(name, x);
    x = mixed_d("mixed_8", x);                   // [N,1280,8,8]
    x = mixed_e("mixed_9", x, average_pool(x));  // [N,2048,8,8]
    x = mixed_e("mixed_10", x, at::max_pool2d(x, 3, 1, 1));
    return x.to(at::kFloat).mean({2, 3});  // [N,2048]
  }

 private:
  /// To 299x299 as TensorFlow 1 did it: pixel i is sampled at i * W / 299, bilinear, without
  /// antialiasing.
  Tensor resize(const Tensor& pixels) const {
    const int64_t height = pixels.size(2), width = pixels.size(3);
    const Tensor grid = sampling_grid(height, width).expand({pixels.size(0), size, size, 2});
    constexpr int64_t bilinear = 0, border = 1;
    return at::grid_sampler_2d(pixels.to(at::kFloat), grid, bilinear, border,
                               /*align_corners=*/false);
  }

  /// [1,299,299,2]; computed once for pictures of one size.
  Tensor sampling_grid(int64_t height, int64_t width) const {
    const std::lock_guard lock(grid_mutex_);
    if (!grid_.defined() || grid_height_ != height || grid_width_ != width) {
      const auto shift = [](int64_t extent) {
        return 1.0f / static_cast<float>(extent) - 1.0f / static_cast<float>(size);
      };
      const Tensor theta =
          at::tensor({1.f, 0.f, shift(width), 0.f, 1.f, shift(height)}).reshape({1, 2, 3});
      grid_ = at::affine_grid_generator(theta.to(device()), {1, 3, size, size},
                                        /*align_corners=*/false);
      grid_height_ = height;
      grid_width_ = width;
    }
    return grid_;
  }

  Tensor conv(const std::string& name, const Tensor& x) const { return convs_.at(name)(x); }

  /// A chain of convolutions: tower.conv, tower.conv_1, ...
  Tensor tower(const std::string& name, Tensor x, int length) const {
    for (int i = 0; i < length; ++i)
      x = conv(name + ".conv" + (i == 0 ? "" : "_" + std::to_string(i)), x);
    return x;
  }

  Tensor mixed_a(const std::string& name, const Tensor& x) const {
    return at::cat({conv(name + ".conv", x), tower(name + ".tower", x, 2),
                    tower(name + ".tower_1", x, 3), conv(name + ".tower_2.conv", average_pool(x))},
                   1);
  }
  Tensor mixed_b(const std::string& name, const Tensor& x) const {
    return at::cat({conv(name + ".conv", x), tower(name + ".tower", x, 3), at::max_pool2d(x, 3, 2)},
                   1);
  }
  Tensor mixed_c(const std::string& name, const Tensor& x) const {
    return at::cat({conv(name + ".conv", x), tower(name + ".tower", x, 3),
                    tower(name + ".tower_1", x, 5), conv(name + ".tower_2.conv", average_pool(x))},
                   1);
  }
  Tensor mixed_d(const std::string& name, const Tensor& x) const {
    return at::cat(
        {tower(name + ".tower", x, 2), tower(name + ".tower_1", x, 4), at::max_pool2d(x, 3, 2)}, 1);
  }
  Tensor mixed_e(const std::string& name, const Tensor& x, const Tensor& pooled) const {
    const Tensor a = conv(name + ".tower_conv", x);
    const Tensor b = conv(name + ".tower_1_conv_1", conv(name + ".tower_1_conv", x));
    return at::cat({conv(name + ".conv", x), conv(name + ".tower_mixed_conv", a),
                    conv(name + ".tower_mixed_conv_1", a), conv(name + ".tower_1_mixed_conv", b),
                    conv(name + ".tower_1_mixed_conv_1", b), conv(name + ".tower_2_conv", pooled)},
                   1);
  }

  std::map<std::string, FusedConv> convs_;
  Tensor output_;  // [1008,2048], or undefined
  mutable std::mutex grid_mutex_;
  mutable Tensor grid_;
  mutable int64_t grid_height_ = 0, grid_width_ = 0;
};

}  // namespace

std::unique_ptr<InceptionDetector> load_inception(const std::filesystem::path& path,
                                                  const DetectorOptions& options) {
  const StateDict state = read_weights(path);
  try {
    return std::make_unique<InceptionV3>(inception_weights(state), options);
  } catch (const Error& error) {
    throw Error(path.string() + ": " + error.what());
  }
}

}  // namespace edm2
