// All instruction sets give the same bits.
#include "nn/fused_kernels.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "edm2/core/cpu.h"

namespace edm2::fused_kernels {
namespace {

template <class T>
std::vector<T> random_values(size_t size, int seed) {
  std::mt19937 engine(static_cast<unsigned>(seed));
  std::normal_distribution<float> normal;
  std::vector<T> values(size);
  for (T& value : values) {
    const float x = normal(engine);
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if constexpr (sizeof(T) == 2)
      value.bits = static_cast<uint16_t>(bits >> 16);
    else
      value = x;
  }
  return values;
}

/// The bytes that all kernels write, one after the other.
template <class T>
std::string outputs(const ActivationKernels<T>& k, int64_t channels) {
  std::string bytes;
  const int64_t pixels = 12, size = pixels * channels;
  const auto n = static_cast<size_t>(size);
  const auto a = random_values<T>(12 * n, 1), b = random_values<T>(12 * n, 2),
             c = random_values<T>(12 * n, 3);
  const auto gains = random_values<float>(n, 4);
  std::vector<T> out(12 * n), out2(12 * n), out3(12 * n);
  std::vector<float> wide(12 * n), sums(n);
  const auto keep = [&] {
    for (const auto* v : {&out, &out2, &out3})
      bytes.append(reinterpret_cast<const char*>(v->data()), v->size() * sizeof(T));
    bytes.append(reinterpret_cast<const char*>(wide.data()), wide.size() * sizeof(float));
    bytes.append(reinterpret_cast<const char*>(sums.data()), sums.size() * sizeof(float));
  };
  k.pixel_norm_silu(a.data(), pixels, channels, out.data(), out2.data());
  keep();
  k.pixel_norm_silu_backward(a.data(), b.data(), c.data(), pixels, channels, out.data());
  keep();
  k.silu(a.data(), size, out.data());
  keep();
  k.silu_backward(a.data(), b.data(), c.data(), size, out.data());
  keep();
  k.cat_silu(a.data(), b.data(), pixels, channels, channels + 1, 0.7f, 1.3f, out.data(),
             out2.data());
  keep();
  k.cat_silu_backward(a.data(), b.data(), c.data(), a.data(), pixels, channels, channels + 1, 0.7f,
                      1.3f, out.data(), out2.data());
  keep();
  k.modulated_silu(a.data(), gains.data(), pixels, channels, out.data());
  keep();
  k.modulated_silu_backward(a.data(), gains.data(), b.data(), pixels, channels, out.data(),
                            sums.data());
  keep();
  EXPECT_TRUE(k.sum_clip(a.data(), b.data(), size, 0.9f, 0.4f, 0.5f, out.data()));
  keep();
  EXPECT_FALSE(k.sum_clip(a.data(), b.data(), size, 0.9f, 0.4f, 500.f, out2.data()));
  k.sum_clip_backward(out.data(), b.data(), size, 0.9f, 0.4f, 0.5f, out2.data(), out3.data());
  keep();
  k.sum_2x2(a.data(), 1, 3, channels, 0.25f, out.data());
  keep();
  k.spread_2x2(a.data(), 3, 4, channels, 0.25f, out.data());
  keep();
  k.split_qkv(a.data(), 3, 2, channels, 3, 0.3f, out.data(), out2.data(), out3.data());
  keep();
  k.split_qkv_backward(a.data(), b.data(), c.data(), b.data(), 3, 2, channels, 3, 0.3f, out.data());
  keep();
  auto weight = random_values<float>(9 * n, 5);
  k.effective_weight(weight.data(), 4, channels, 9, true, 0.8f, out.data());
  std::copy(weight.begin(), weight.end(), wide.begin());
  keep();
  for (const bool transposed : {false, true}) {
    k.effective_weight_backward(weight.data(), a.data(), transposed, 4, channels, 9, 0.8f,
                                wide.data(), sums.data());
    keep();
  }
  return bytes;
}

void expect_same(const Kernels& actual) {
  for (const int64_t channels : {1, 5, 16, 17, 40, 64}) {
    EXPECT_TRUE(outputs(actual.f32, channels) == outputs(portable().f32, channels)) << channels;
    EXPECT_TRUE(outputs(actual.bf16, channels) == outputs(portable().bf16, channels)) << channels;
  }
}

}  // namespace

TEST(FusedKernels, Avx2GivesTheSameBits) {
  if (highest_cpu_level() < CpuLevel::avx2) GTEST_SKIP() << "this processor has no AVX2";
  expect_same(avx2());
}

TEST(FusedKernels, Avx512GivesTheSameBits) {
  if (highest_cpu_level() < CpuLevel::avx512) GTEST_SKIP() << "this processor has no AVX-512";
  expect_same(avx512());
}

}  // namespace edm2::fused_kernels
