// Files packed by gzip.
#pragma once

#include <string>

namespace edm2::test {

std::string gzipped(const std::string& text);

}  // namespace edm2::test
