/// Bounds of the numbers that the user gives.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace edm2 {

/// Bounds of a number; none = unbounded. Open bounds do not belong to the range.
template <class T>
struct NumberRange {
  std::optional<T> min = {}, max = {};
  bool min_open = false, max_open = false;

  /// "x>=1", "0<=x<=1", "x>0"; empty if unbounded.
  std::string describe() const;
  /// A bounded range does not contain nan.
  bool contains(T value) const;
  /// Throws UsageError, such as "0 is not in the range x>=1.", unless it contains the value.
  void check(T value) const;
};

using IntRange = NumberRange<int64_t>;
using FloatRange = NumberRange<double>;

/// x >= min.
inline IntRange at_least(int64_t min) { return {.min = min}; }
inline FloatRange at_least(double min) { return {.min = min}; }
/// x > min.
inline FloatRange greater_than(double min) { return {.min = min, .min_open = true}; }

}  // namespace edm2
