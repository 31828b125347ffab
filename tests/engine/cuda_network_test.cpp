// The engine for CUDA: its logic on the CPU with emulated passes; where there is a GPU, its kernels
// against those.
#include "engine/cuda_network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "core/side_library.h"
#include "edm2/core/device.h"
#include "edm2/core/error.h"
#include "edm2/engine/engine.h"
#include "edm2/nn/network.h"
#include "engine/random_network.h"
#include "support/checks.h"
#include "support/golden.h"

namespace edm2 {
namespace {

using test::relative_error;

struct Case {
  std::string name;
  NetworkOptions network;
};

std::vector<Case> cases() {
  std::vector<Case> all = {{"conditional", small_network()}};
  all.push_back({"unconditional", small_network()});
  all.back().network.label_dim = 0;
  all.push_back({"clipped", small_network()});
  all.back().network.clip_act = 0.6;
  all.push_back({"many_heads", small_network()});
  all.back().network.attn_resolutions = {16, 8};
  all.back().network.channels_per_head = 8;
  all.push_back({"odd_channels", small_network()});  // read one by one
  all.back().network.model_channels = 9;
  all.back().network.channels_per_head = 9;
  all.push_back({"three_levels", small_network()});
  all.back().network.channel_mult = {1, 2, 3};
  all.back().network.num_blocks = 2;
  return all;
}

Tensor reference(const Snapshot& snapshot, const Inputs& in) {
  const c10::NoGradGuard no_grad;
  return make_denoiser(snapshot, Precision::fp32, c10::kCPU, EngineKind::reference)
      ->denoise(in.x, in.sigma, in.labels);
}

Tensor emulated(const Snapshot& snapshot, const Inputs& in, c10::ScalarType type) {
  return CudaNetwork(snapshot, type, c10::kCPU, cuda_passes::emulated())
      .denoise(in.x, in.sigma, in.labels);
}

/// Does what CUDA graphs do: nothing while work is recorded, and all of it on the same memory
/// later.
WorkRecorder emulated_recorder(bool can, int& recorded, int& replayed) {
  return [can, &recorded, &replayed](const std::function<void()>& work) -> RecordedWork {
    if (!can) return {};
    ++recorded;
    return [work, &replayed] {
      ++replayed;
      work();
    };
  };
}

class CudaEngineLogic : public testing::TestWithParam<Case> {};

}  // namespace

TEST_P(CudaEngineLogic, AgreesWithTheReference) {
  const Snapshot snapshot = random_snapshot(GetParam().network);
  const Inputs in = random_inputs(snapshot.network, 3);
  const Tensor expected = reference(snapshot, in);
  EXPECT_LE(relative_error(emulated(snapshot, in, at::kFloat), expected), 1e-5);
  EXPECT_LE(relative_error(emulated(snapshot, in, at::kHalf), expected), 5e-3);
  EXPECT_LE(relative_error(emulated(snapshot, in, at::kBFloat16), expected), 3e-2);
}

TEST_P(CudaEngineLogic, OneNoiseLevelForAllPictures) {
  const Snapshot snapshot = random_snapshot(GetParam().network);
  Inputs in = random_inputs(snapshot.network, 3);
  in.sigma = at::tensor({0.7f});
  if (in.labels.defined()) in.labels = in.labels.narrow(0, 1, 1);
  EXPECT_LE(relative_error(emulated(snapshot, in, at::kFloat), reference(snapshot, in)), 1e-5);
}

TEST_P(CudaEngineLogic, ReplaysWhatItHasSeen) {
  const Snapshot snapshot = random_snapshot(GetParam().network);
  int recorded = 0, replayed = 0;
  CudaNetwork network(snapshot, at::kFloat, c10::kCPU, cuda_passes::emulated(),
                      emulated_recorder(true, recorded, replayed));
  CudaNetwork plain(snapshot, at::kFloat, c10::kCPU, cuda_passes::emulated());
  std::vector<Tensor> results, expected;
  for (const int64_t n : {3, 3, 3, 2, 2, 3, 1}) {
    Inputs in = random_inputs(snapshot.network, n);
    in.x = in.x * static_cast<double>(results.size() + 1);
    results.push_back(network.denoise(in.x, in.sigma, in.labels));
    expected.push_back(plain.denoise(in.x, in.sigma, in.labels));
  }
  // Results stay as they are when others come.
  for (size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(at::equal(results[i], expected[i])) << i;
  EXPECT_EQ(recorded, 2);
  EXPECT_EQ(replayed, 4);
}

TEST(CudaEngine, WhatCannotBeRecordedIsComputed) {
  const Snapshot snapshot = random_snapshot(small_network());
  int recorded = 0, replayed = 0;
  CudaNetwork network(snapshot, at::kFloat, c10::kCPU, cuda_passes::emulated(),
                      emulated_recorder(false, recorded, replayed));
  const Inputs in = random_inputs(snapshot.network, 2);
  const Tensor first = network.denoise(in.x, in.sigma, in.labels);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(at::equal(network.denoise(in.x, in.sigma, in.labels), first));
  EXPECT_EQ(replayed, 0);
}

TEST(CudaEngine, KeepsFewRecordings) {
  const Snapshot snapshot = random_snapshot(small_network());
  int recorded = 0, replayed = 0;
  CudaNetwork network(snapshot, at::kFloat, c10::kCPU, cuda_passes::emulated(),
                      emulated_recorder(true, recorded, replayed));
  CudaNetwork plain(snapshot, at::kFloat, c10::kCPU, cuda_passes::emulated());
  for (int round = 0; round < 2; ++round)
    for (int64_t n = 1; n <= 6; ++n)
      for (int i = 0; i < 2; ++i) {
        const Inputs in = random_inputs(snapshot.network, n);
        EXPECT_TRUE(at::equal(network.denoise(in.x, in.sigma, in.labels),
                              plain.denoise(in.x, in.sigma, in.labels)));
      }
  EXPECT_EQ(recorded, 12);
}

INSTANTIATE_TEST_SUITE_P(Networks, CudaEngineLogic, testing::ValuesIn(cases()),
                         [](const auto& suite) { return suite.param.name; });

TEST(CudaPasses, NumbersAreRoundedAsByLibtorch) {
  using cuda_passes::Number;
  at::manual_seed(1);
  const Tensor x = at::randn({10000}).mul(at::randn({10000}).mul(20).exp());
  const Tensor expected = x.to(at::kBFloat16);
  const auto* bits = static_cast<const uint16_t*>(expected.const_data_ptr());
  for (int64_t i = 0; i < x.numel(); ++i) {
    const Bf16 rounded = Number<Bf16>::round(x.const_data_ptr<float>()[i]);
    ASSERT_EQ(rounded.bits, bits[i]) << x.const_data_ptr<float>()[i];
    ASSERT_EQ(Number<Bf16>::read(rounded), expected[i].item<float>());
  }
  EXPECT_TRUE(std::isnan(Number<Bf16>::read(Number<Bf16>::round(NAN))));
}

class CudaEngineOnGpu : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    try {
      device_ = select_device("cuda");
    } catch (const Error&) {
      GTEST_SKIP() << "no CUDA device here";
    }
    if (find_in_side_library("libedm2_cuda.so", "edm2_cuda_passes") == nullptr)
      GTEST_SKIP() << "edm2_cuda was not built";
  }
  c10::Device device_ = c10::kCPU;
};

TEST_P(CudaEngineOnGpu, AgreesWithTheEmulation) {
  const Snapshot snapshot = random_snapshot(GetParam().network);
  const Inputs in = random_inputs(snapshot.network, 3);
  const Tensor labels = in.labels.defined() ? in.labels.to(device_) : Tensor();
  for (const auto& [precision, type, tolerance] : {std::tuple{Precision::fp32, at::kFloat, 1e-4},
                                                   {Precision::fp16, at::kHalf, 5e-3},
                                                   {Precision::bf16, at::kBFloat16, 3e-2}}) {
    const auto network = make_denoiser(snapshot, precision, device_, EngineKind::fast);
    ASSERT_EQ(dynamic_cast<Precond*>(network.get()), nullptr);
    const Tensor expected = emulated(snapshot, in, type);
    // Computed, recorded, replayed.
    for (int i = 0; i < 3; ++i) {
      const Tensor got = network->denoise(in.x.to(device_), in.sigma.to(device_), labels).cpu();
      EXPECT_LE(relative_error(got, expected), tolerance) << "evaluation " << i;
    }
    Inputs other = in;
    other.x = in.x * 2;
    const Tensor got = network->denoise(other.x.to(device_), in.sigma.to(device_), labels).cpu();
    EXPECT_LE(relative_error(got, emulated(snapshot, other, type)), tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, CudaEngineOnGpu, testing::ValuesIn(cases()),
                         [](const auto& suite) { return suite.param.name; });

}  // namespace edm2
