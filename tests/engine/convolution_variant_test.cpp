// A way to compute convolutions that the engine does not know is one file, such as this one.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <atomic>

#include "edm2/nn/stored_snapshot.h"
#include "engine/cpu_network.h"
#include "engine/random_network.h"
#include "support/golden.h"

namespace edm2 {
namespace {

using test::relative_error;

/// One product after the other, in the order of the formula.
class PlainConvolution : public CpuConvolution {
 public:
  PlainConvolution(const ConvolutionSpec& spec, std::atomic<int>& used)
      : CpuConvolution(spec.weight.stored.size(0)),
        weight_(spec.weight.tensor().contiguous()),
        used_(used) {}

  void add_to(const Tensor& sum, const Tensor& x) const override {
    ++used_;
    const Tensor image = x.contiguous(), y = at::zeros(sum.sizes());  // in rows and columns
    const int64_t kernel = weight_.size(2), height = x.size(2), width = x.size(3);
    const auto w = weight_.accessor<float, 4>(), from = image.accessor<float, 4>();
    auto to = y.accessor<float, 4>();
    for (int64_t o = 0; o < weight_.size(0); ++o)
      for (int64_t c = 0; c < weight_.size(1); ++c)
        for (int64_t ky = 0; ky < kernel; ++ky)
          for (int64_t kx = 0; kx < kernel; ++kx)
            for (int64_t i = 0; i < height; ++i)
              for (int64_t j = 0; j < width; ++j) {
                const int64_t row = i + ky - kernel / 2, column = j + kx - kernel / 2;
                if (row < 0 || row >= height || column < 0 || column >= width) continue;
                to[0][o][i][j] += w[o][c][ky][kx] * from[0][c][row][column];
              }
    sum.add_(y);
  }

 private:
  Tensor weight_;
  std::atomic<int>& used_;
};

/// All convolutions, or those inside of blocks; the usual ones compute what is left.
std::vector<CpuConvolutionMaker> with_plain_ones(bool all, std::atomic<int>& made,
                                                 std::atomic<int>& used) {
  auto makers = cpu_convolutions(at::kFloat, EngineKind::automatic);
  makers.insert(makers.begin(), [&made, &used, all](const ConvolutionSpec& spec) {
    if (spec.upsamples || !(all || spec.in_block)) return std::unique_ptr<PlainConvolution>();
    ++made;
    return std::make_unique<PlainConvolution>(spec, used);
  });
  return makers;
}

Tensor denoised(const Snapshot& snapshot, const Inputs& in,
                const std::vector<CpuConvolutionMaker>& makers) {
  return CpuNetwork(snapshot, at::kFloat, makers).denoise(in.x, in.sigma, in.labels);
}

}  // namespace

TEST(ConvolutionVariant, ComputesANetworkInPlaceOfTheUsualOnes) {
  const c10::NoGradGuard no_grad;
  NetworkOptions o = small_network();
  o.model_channels = 8;
  o.channels_per_head = 8;
  const Snapshot snapshot = random_snapshot(o);
  const Inputs in = random_inputs(o, 2);
  const Tensor usual = denoised(snapshot, in, cpu_convolutions(at::kFloat, EngineKind::automatic));
  for (const bool all : {false, true}) {
    std::atomic<int> made = 0, used = 0;
    const Tensor plain = denoised(snapshot, in, with_plain_ones(all, made, used));
    EXPECT_LE(relative_error(plain, usual), 1e-5);
    EXPECT_FALSE(at::equal(plain, usual));
    EXPECT_GT(made, 20);
    EXPECT_EQ(used, 2 * made);
  }
}

}  // namespace edm2
