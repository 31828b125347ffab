// Texts packed by zlib.
#pragma once

#include <string>

namespace edm2::test {

/// A .gz file.
std::string gzipped(const std::string& text);
/// As entries of zip archives are packed, without any header.
std::string deflated(const std::string& text);

}  // namespace edm2::test
