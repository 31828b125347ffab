#include "edm2/core/format_number.h"

#include <cstdio>

namespace edm2 {

std::string format_number(const char* pattern, double value) {
  char text[100];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

}  // namespace edm2
