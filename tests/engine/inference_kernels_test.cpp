// All instruction sets give the same bits, and what the passes are for.
#include "engine/inference_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "edm2/core/cpu.h"

namespace edm2::inference_kernels {
namespace {

template <class T>
std::vector<T> normal_values(size_t size, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<T> values(size);
  for (T& value : values) {
    const float x = normal(engine);
    if constexpr (sizeof(T) == 2) {
      uint32_t bits;
      std::memcpy(&bits, &x, sizeof bits);
      value.bits = static_cast<uint16_t>(bits >> 16);
    } else {
      value = x;
    }
  }
  return values;
}

/// The bytes that all kernels write, one after the other.
template <class T>
std::string written(const ActivationKernels<T>& k, int64_t channels) {
  std::string bytes;
  const auto n = static_cast<size_t>(60 * (channels + 1));
  const auto a = normal_values<T>(4 * n, 1), b = normal_values<T>(4 * n, 2);
  const auto c = normal_values<float>(n, 4);
  std::vector<T> out(4 * n), out2(4 * n);
  const auto keep = [&] {
    for (const auto* v : {&out, &out2})
      bytes.append(reinterpret_cast<const char*>(v->data()), v->size() * sizeof(T));
  };
  k.pixel_norm_silu(a.data(), 12, channels, 1.5f, 0.7f, out.data(), out2.data());
  keep();
  k.silu(a.data(), 12 * channels, 1.5f, 0.7f, out.data(), out2.data());
  keep();
  k.silu(b.data(), 12 * channels, 1.5f, 0.7f, nullptr, out2.data());
  keep();
  k.cat_silu(a.data(), b.data(), 12, channels, channels + 1, 1.5f, 1.2f, 0.7f, 1.3f, 0.9f,
             out.data(), out2.data());
  keep();
  k.modulated_silu(a.data(), c.data(), 12, channels, out.data());
  keep();
  k.modulated_silu_of_phases(a.data(), c.data(), 2, 3, channels, out2.data());
  keep();
  k.sum_2x2(a.data(), 2, 3, channels, 1.5f, 0.25f, out.data());
  keep();
  k.spread_2x2(a.data(), 2, 3, channels, 1.5f, 0.7f, out.data());
  keep();
  std::copy(a.begin(), a.end(), out.begin());
  k.clip(out.data(), 12 * channels, 1.5f);
  keep();
  std::copy(a.begin(), a.end(), out.begin());
  k.normalize_qkv(out.data(), 4, 2, channels, 0.3f);
  keep();
  return bytes;
}

std::string written_linear(const Kernels& k, int64_t inputs) {
  const auto x = normal_values<float>(static_cast<size_t>(3 * inputs), 1),
             w = normal_values<float>(static_cast<size_t>(7 * inputs), 2);
  std::vector<float> y(3 * 9);
  k.linear(x.data(), w.data(), 3, 7, inputs, 9, y.data());
  return {reinterpret_cast<const char*>(y.data()), y.size() * sizeof(float)};
}

std::string written_winograd(const Kernels& k, int64_t channels) {
  const int64_t height = 7, width = 9, tiles = 2 * 3;
  const auto x = normal_values<float>(static_cast<size_t>(height * width * channels), 1),
             m = normal_values<float>(static_cast<size_t>(36 * tiles * channels), 2),
             c = normal_values<float>(static_cast<size_t>(channels), 3);
  std::vector<float> v(m.size()), out = x;
  k.winograd_input(x.data(), height, width, channels, 0, 2, v.data());
  std::vector<const float*> positions;
  for (size_t p = 0; p < 36; ++p) positions.push_back(m.data() + p * m.size() / 36);
  k.winograd_output(positions.data(), height, width, channels, 0, 2, nullptr, out.data());
  v.insert(v.end(), out.begin(), out.end());
  k.winograd_output(positions.data(), height, width, channels, 0, 2, c.data(), out.data());
  v.insert(v.end(), out.begin(), out.end());
  return {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float)};
}

/// All float16 numbers and all of 8 bits, in rows of `block`.
std::string written_expanded(const Kernels& k, int64_t block) {
  std::vector<Half> half(65536);
  for (size_t i = 0; i < half.size(); ++i) half[i].bits = static_cast<uint16_t>(i);
  const auto factors = normal_values<float>(static_cast<size_t>(block), 1);
  std::vector<float> out(half.size());
  k.expand_half(half.data(), 65536 / block, block, factors.data(), out.data());
  std::vector<int8_t> whole(256);
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<int8_t>(i);
  std::vector<float> out8(whole.size());
  k.expand_int8(whole.data(), 256 / block, block, factors.data(), out8.data());
  out.insert(out.end(), out8.begin(), out8.end());
  return {reinterpret_cast<const char*>(out.data()), out.size() * sizeof(float)};
}

void expect_same_bits(const Kernels& actual) {
  for (const int64_t channels : {1, 5, 16, 17, 40, 64}) {
    EXPECT_TRUE(written(actual.f32, channels) == written(portable().f32, channels)) << channels;
    EXPECT_TRUE(written(actual.bf16, channels) == written(portable().bf16, channels)) << channels;
    EXPECT_TRUE(written_winograd(actual, channels) == written_winograd(portable(), channels))
        << channels;
  }
  for (const int64_t inputs : {1, 16, 31, 32, 65, 768})
    EXPECT_TRUE(written_linear(actual, inputs) == written_linear(portable(), inputs)) << inputs;
  for (const int64_t block : {1, 5, 8, 16, 24, 48, 64})
    EXPECT_TRUE(written_expanded(actual, block) == written_expanded(portable(), block)) << block;
}

float silu_of(float x) { return x / (1 + std::exp(-x)); }

}  // namespace

TEST(InferenceKernels, Avx2GivesTheSameBits) {
  if (highest_cpu_level() < CpuLevel::avx2) GTEST_SKIP() << "this processor has no AVX2";
  expect_same_bits(avx2());
}

TEST(InferenceKernels, Avx512GivesTheSameBits) {
  if (highest_cpu_level() < CpuLevel::avx512) GTEST_SKIP() << "this processor has no AVX-512";
  expect_same_bits(avx512());
}

TEST(InferenceKernels, ClipBeforeTheyWork) {
  const std::vector<float> x = {3, -3, 0.5f, 1}, keep_all = {1, -1, 0.5f, 1};
  std::vector<float> kept(4), activated(4);
  best().f32.silu(x.data(), 4, 1, 2, kept.data(), activated.data());
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_FLOAT_EQ(kept[i], 2 * keep_all[i]);
    EXPECT_NEAR(activated[i], silu_of(keep_all[i]), 1e-6);
  }
  std::vector<float> in_place = x;
  best().f32.clip(in_place.data(), 4, 1);
  EXPECT_EQ(in_place, keep_all);
}

TEST(InferenceKernels, ARowOfTheLinearLayerDoesNotDependOnOthers) {
  const auto x = normal_values<float>(size_t{3} * 50, 1),
             w = normal_values<float>(size_t{7} * 50, 2);
  std::vector<float> together(21), alone(21);
  best().linear(x.data(), w.data(), 3, 7, 50, 7, together.data());
  for (int64_t r = 0; r < 3; ++r)
    best().linear(x.data() + 50 * r, w.data(), 1, 7, 50, 7, alone.data() + 7 * r);
  EXPECT_EQ(together, alone);
  double expected = 0;
  for (size_t i = 0; i < 50; ++i) expected += static_cast<double>(x[i]) * w[i];
  EXPECT_NEAR(together[0], expected, 1e-5);
}

TEST(InferenceKernels, ExpandMultipliesEachColumn) {
  // 1, -2, 0.5, the smallest float16, infinity, the largest
  const std::vector<Half> half = {{0x3c00}, {0xc000}, {0x3800}, {0x0001}, {0x7c00}, {0x7bff}};
  const std::vector<float> factors = {2, 3, 4};
  const std::vector<float> expected = {
      2, -6, 2, 2 * std::ldexp(1.f, -24), std::numeric_limits<float>::infinity(), 4 * 65504.f};
  std::vector<float> out(6);
  portable().expand_half(half.data(), 2, 3, factors.data(), out.data());
  EXPECT_EQ(out, expected);
  const std::vector<int8_t> whole = {1, -2, 127, -128, 0, 5};
  portable().expand_int8(whole.data(), 2, 3, factors.data(), out.data());
  EXPECT_EQ(out, (std::vector<float>{2, -6, 508, -256, 0, 20}));
}

}  // namespace edm2::inference_kernels
