/// Options that change a setting only where they are given.
#pragma once

#include <optional>

namespace edm2::cli {

template <class T, class U>
void take_if_given(const std::optional<T>& given, U& target) {
  if (given) target = *given;
}

}  // namespace edm2::cli
