#include "edm2/nn/finite.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/parallel.h"
#include "edm2/nn/state_report.h"

namespace edm2 {
namespace {

// The bits of the exponent, all of which are set in NaN and infinity, and a one at their end: where
// it is added to such bits, it carries into the bit of the sign, and nowhere else. Words hold one,
// two or four numbers.
struct ExponentBits {
  uint64_t exponent, unit, sign;
};
constexpr ExponentBits half_bits = {0x7c007c007c007c00, 0x0400040004000400, 0x8000800080008000};
constexpr ExponentBits bfloat_bits = {0x7f807f807f807f80, 0x0080008000800080, 0x8000800080008000};
constexpr ExponentBits float_bits = {0x7f8000007f800000, 0x0080000000800000, 0x8000000080000000};
constexpr ExponentBits double_bits = {0x7ff0000000000000, 0x0010000000000000, 0x8000000000000000};

// Four words that the compiler keeps in the processor's vector registers.
using Words = uint64_t __attribute__((vector_size(32)));

bool has_full_exponent(const std::byte* data, size_t size, const ExponentBits& bits) {
  Words carried[2] = {};
  const auto look_at = [&](size_t which, const std::byte* from, size_t count) {
    Words words = {};  // what is lacking at the end is zeros
    std::memcpy(&words, from, count);
    carried[which] |= (words & bits.exponent) + bits.unit;
  };
  size_t at = 0;
  for (; at + 2 * sizeof(Words) <= size; at += 2 * sizeof(Words)) {
    look_at(0, data + at, sizeof(Words));
    look_at(1, data + at + sizeof(Words), sizeof(Words));
  }
  for (; at < size; at += sizeof(Words)) look_at(0, data + at, std::min(sizeof(Words), size - at));
  const Words all = carried[0] | carried[1];
  return ((all[0] | all[1] | all[2] | all[3]) & bits.sign) != 0;
}

const ExponentBits* exponent_bits(at::ScalarType type) {
  switch (type) {
    case at::kHalf:
      return &half_bits;
    case at::kBFloat16:
      return &bfloat_bits;
    case at::kFloat:
      return &float_bits;
    case at::kDouble:
      return &double_bits;
    default:
      return nullptr;
  }
}

}  // namespace

bool all_finite(const Tensor& tensor) {
  if (!at::isFloatingType(tensor.scalar_type())) return true;
  const ExponentBits* bits = exponent_bits(tensor.scalar_type());
  if (!bits) return all_finite(tensor.to(at::kFloat));
  const Tensor elements = tensor.contiguous();
  constexpr int64_t piece = 1 << 20;  // bytes
  const auto* data = static_cast<const std::byte*>(elements.const_data_ptr());
  const auto size = static_cast<int64_t>(elements.nbytes());
  std::atomic<bool> found = false;
  parallel_for(0, (size + piece - 1) / piece, 1, [&](int64_t begin, int64_t end) {
    const int64_t from = begin * piece, to = std::min(end * piece, size);
    if (has_full_exponent(data + from, static_cast<size_t>(to - from), *bits)) found = true;
  });
  return !found;
}

bool all_finite(std::span<const std::byte> elements, c10::ScalarType type) {
  if (const ExponentBits* bits = exponent_bits(type))
    return !has_full_exponent(elements.data(), elements.size(), *bits);
  const auto count = static_cast<int64_t>(elements.size() / c10::elementSize(type));
  return all_finite(at::from_blob(const_cast<std::byte*>(elements.data()), {count}, type));
}

std::string first_not_finite(const StateDict& tensors) {
  for (const auto& [name, tensor] : tensors)
    if (!all_finite(tensor)) return name;
  return "";
}

NotFiniteError::NotFiniteError(const std::string& tensor)
    : Error("the network's weights are damaged: values in " + printable_name(tensor) +
            " are not finite (NaN or infinity), and its pictures would be black; take another "
            "snapshot ('edm2 info' tells where such values are)") {}

}  // namespace edm2
