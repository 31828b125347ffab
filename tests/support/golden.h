// Comparing with numbers that the original computed.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "edm2/core/tensor.h"
#include "edm2/io/npz.h"
#include "support/paths.h"

namespace edm2::test {

/// Largest absolute difference over the largest absolute expected value.
inline double relative_error(const Tensor& actual, const Tensor& expected) {
  const Tensor a = actual.detach().to(at::kCPU, at::kDouble), e = expected.to(at::kDouble);
  if (a.sizes() != e.sizes()) return 1e9;
  if (e.numel() == 0) return 0;
  const double scale = e.abs().max().item<double>();
  const double difference = (a - e).abs().max().item<double>();
  return scale > 0 ? difference / scale : difference;
}

inline double max_difference(const Tensor& actual, const Tensor& expected) {
  const Tensor a = actual.detach().to(at::kCPU, at::kDouble), e = expected.to(at::kDouble);
  if (a.sizes() != e.sizes()) return 1e9;
  return e.numel() == 0 ? 0 : (a - e).abs().max().item<double>();
}

/// Root mean square of the difference over that of the expected values.
inline double rms_relative_error(const Tensor& actual, const Tensor& expected) {
  const Tensor a = actual.detach().to(at::kCPU, at::kDouble), e = expected.to(at::kDouble);
  if (a.sizes() != e.sizes()) return 1e9;
  const double scale = e.square().mean().sqrt().item<double>();
  const double difference = (a - e).square().mean().sqrt().item<double>();
  return scale > 0 ? difference / scale : difference;
}

/// Bits as numpy.packbits writes them (most significant first) -> bool tensor of that shape.
inline Tensor unpack_bits(const Tensor& bits, const Tensor& shape) {
  std::vector<int64_t> sizes;
  int64_t count = 1;
  for (int64_t i = 0; i < shape.numel(); ++i) {
    sizes.push_back(shape[i].item<int64_t>());
    count *= sizes.back();
  }
  Tensor mask = at::empty({count}, at::kFloat);
  const auto* packed = bits.data_ptr<uint8_t>();
  for (int64_t i = 0; i < count; ++i)
    mask.data_ptr<float>()[i] = static_cast<float>(packed[i / 8] >> (7 - i % 8) & 1);
  return mask.reshape(sizes);
}

}  // namespace edm2::test
