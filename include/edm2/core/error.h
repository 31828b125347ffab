/// Errors that the user can mend. The message is one sentence: what went wrong, where, and what to
/// do.
#pragma once

#include <stdexcept>
#include <string>

namespace edm2 {

/// Bad data, a missing file, a full disk: the program ends with exit code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A wrong option or option value: the program ends with exit code 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

/// The user interrupted the work (Ctrl-C, SIGTERM): the program ends with exit code 128 + signal.
class Interrupted : public std::runtime_error {
 public:
  explicit Interrupted(int signal)
      : std::runtime_error("interrupted by signal " + std::to_string(signal)), signal(signal) {}
  int signal;
};

}  // namespace edm2
