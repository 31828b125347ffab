// The network on CUDA against the CPU. Skipped, visibly, where no GPU can be used.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "edm2/core/error.h"
#include "edm2/nn/network.h"
#include "support/golden.h"

namespace edm2 {
namespace {

class NetworkCuda : public testing::Test {
 protected:
  void SetUp() override {
    try {
      device = select_device("cuda");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
    EDM2_REQUIRE_REFERENCE();
    snapshot = load_snapshot(test::reference_dir() / "denoiser" / "rgb8_multihead.pkl");
    const NpzFile inputs(test::reference_dir() / "denoiser" / "rgb8_multihead.npz");
    x = inputs.get("x");
    sigma = inputs.get("sigma");
    expected = inputs.get("D_x");
  }
  double error(Precision precision) {
    Precond network(snapshot);
    network.to(device);
    network.precision = precision;
    return test::relative_error(network.denoise(x.to(device), sigma.to(device), {}), expected);
  }
  c10::Device device = c10::kCPU;
  Snapshot snapshot;
  Tensor x, sigma, expected;
};

}  // namespace

TEST_F(NetworkCuda, Float32) {
  EXPECT_LE(error(Precision::fp32), 2e-3);
}  // convolutions may use TF32

TEST_F(NetworkCuda, Float16) { EXPECT_LE(error(Precision::automatic), 2e-2); }

TEST_F(NetworkCuda, Bfloat16) { EXPECT_LE(error(Precision::bf16), 1e-1); }

}  // namespace edm2
