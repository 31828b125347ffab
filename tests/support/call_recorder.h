// What the code under test has computed checksums of and locked: test programs see its calls of
// OpenSSL and of the operating system before these do.
#pragma once

#include <map>
#include <string>

namespace edm2::test {

struct RecordedCalls {
  std::map<std::string, int> digests;  ///< how often that came out, MD5 and SHA-256
  std::map<std::string, int> locks;    ///< how often a file of that path was locked
};

/// What there was since the last call.
RecordedCalls take_recorded_calls();

}  // namespace edm2::test
