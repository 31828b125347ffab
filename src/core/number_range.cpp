#include "edm2/core/number_range.h"

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"

namespace edm2 {
namespace {

std::string number_text(int64_t value) { return std::to_string(value); }
std::string number_text(double value) { return format_number("%.15g", value); }

}  // namespace

template <class T>
std::string NumberRange<T>::describe() const {
  if (!min && !max) return {};
  std::string text;
  if (min && max) text = number_text(*min) + (min_open ? "<" : "<=");
  text += "x";
  if (max) return text + (max_open ? "<" : "<=") + number_text(*max);
  return text + (min_open ? ">" : ">=") + number_text(*min);
}

template <class T>
bool NumberRange<T>::contains(T value) const {
  if (min && !(min_open ? value > *min : value >= *min)) return false;
  return !max || (max_open ? value < *max : value <= *max);
}

template <class T>
void NumberRange<T>::check(T value) const {
  if (!contains(value))
    throw UsageError(number_text(value) + " is not in the range " + describe() + ".");
}

template struct NumberRange<int64_t>;
template struct NumberRange<double>;

}  // namespace edm2
