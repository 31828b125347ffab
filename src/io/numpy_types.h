// The types of elements as NumPy's files and pickles call them.
#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string_view>

namespace edm2 {

struct NumpyType {
  std::string_view code;  // without the byte order
  at::ScalarType stored;  // signed type of the same width for u2, u4, u8
  bool is_unsigned = false;
};

constexpr NumpyType numpy_types[] = {
    {"f2", at::kHalf},  {"f4", at::kFloat},       {"f8", at::kDouble},    {"i1", at::kChar},
    {"i2", at::kShort}, {"i4", at::kInt},         {"i8", at::kLong},      {"u1", at::kByte},
    {"b1", at::kBool},  {"u2", at::kShort, true}, {"u4", at::kInt, true}, {"u8", at::kLong, true},
};

/// Nothing for types that NumPy lacks.
inline std::optional<std::string_view> numpy_code(at::ScalarType type) {
  for (const NumpyType& known : numpy_types)
    if (known.stored == type && !known.is_unsigned) return known.code;
  return std::nullopt;
}

}  // namespace edm2
