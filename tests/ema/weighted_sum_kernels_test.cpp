#include "ema/weighted_sum_kernels.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>

#include "edm2/core/cpu.h"
#include "edm2/core/tensor.h"
#include "ema/number_conversion.h"

namespace edm2::weighted_sum {
namespace {

std::vector<Kernels> all_kernels() {
  std::vector<Kernels> result = {kernels_for(CpuLevel::portable)};
  if (highest_cpu_level() >= CpuLevel::avx2) result.push_back(kernels_for(CpuLevel::avx2));
  return result;
}

// Every half-precision number but NaN, at an odd address.
std::vector<uint8_t> every_half(size_t shift) {
  std::vector<uint8_t> bytes(shift);
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    if ((bits & 0x7fff) > 0x7c00) continue;
    bytes.push_back(static_cast<uint8_t>(bits));
    bytes.push_back(static_cast<uint8_t>(bits >> 8));
  }
  return bytes;
}

}  // namespace

TEST(WeightedSumKernels, EveryHalfThereAndBack) {
  const auto bytes = every_half(1);
  const size_t count = (bytes.size() - 1) / 2;
  for (const Kernels& kernels : all_kernels()) {
    std::vector<float> numbers(count);
    kernels.from_half(bytes.data() + 1, numbers.data(), count);
    for (size_t i = 0; i < count; ++i) {
      at::Half half;
      std::memcpy(&half.x, bytes.data() + 1 + 2 * i, 2);
      ASSERT_EQ(numbers[i], static_cast<float>(half));
    }
    std::vector<uint8_t> back(bytes.size());
    kernels.to_half(numbers.data(), back.data() + 1, count);
    EXPECT_TRUE(std::equal(bytes.begin() + 1, bytes.end(), back.begin() + 1));
  }
}

RC_GTEST_PROP(WeightedSumKernelsProperty, SameBitsAsTorch, ()) {
  const auto count = *rc::gen::inRange<int64_t>(0, 100), terms = *rc::gen::inRange<int64_t>(1, 10);
  at::manual_seed(*rc::gen::arbitrary<uint32_t>());
  // Rows lie a few numbers further apart than they are long.
  const Tensor rows = at::randn({terms, count + 3}) * std::pow(10, *rc::gen::inRange(-9, 6));
  const Tensor weights = at::randn({terms});
  const Tensor x = rows.select(0, 0).narrow(0, 0, count);
  const Tensor before = at::randn({count});
  Tensor expected = before.clone();
  for (int64_t k = 0; k < terms; ++k)
    expected.add_(rows.select(0, k).narrow(0, 0, count).mul(weights[k].item<double>()));
  for (const Kernels& kernels : all_kernels()) {
    Tensor sum = before.clone();
    kernels.add_scaled(rows.const_data_ptr<float>(), static_cast<size_t>(count + 3),
                       weights.const_data_ptr<float>(), static_cast<size_t>(terms),
                       sum.data_ptr<float>(), static_cast<size_t>(count));
    RC_ASSERT(at::equal(sum, expected));
    const Tensor half = x.to(at::kHalf);
    Tensor half_sum = before.clone();
    kernels.add_scaled_half(half.const_data_ptr(), weights[0].item<float>(),
                            half_sum.data_ptr<float>(), static_cast<size_t>(count));
    RC_ASSERT(at::equal(half_sum, before + half.to(at::kFloat).mul(weights[0].item<double>())));
    for (const auto dtype : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
      const Tensor stored = x.to(dtype);
      Tensor numbers = at::empty({count}), rounded = at::empty({count}, dtype);
      to_float(kernels, dtype, stored.const_data_ptr(), numbers.data_ptr<float>(),
               static_cast<size_t>(count));
      RC_ASSERT(at::equal(numbers, stored.to(at::kFloat)));
      from_float(kernels, dtype, x.data_ptr<float>(), rounded.mutable_data_ptr(),
                 static_cast<size_t>(count));
      RC_ASSERT(at::equal(rounded, stored));
    }
  }
}

}  // namespace edm2::weighted_sum
