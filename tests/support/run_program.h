// Runs a program as a user would and tells all that came of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace edm2::test {

struct RunOptions {
  /// Added to this process's environment; an empty optional removes the variable.
  std::map<std::string, std::optional<std::string>> environment = {};
  /// Working folder of the program; none = this process's.
  std::optional<std::filesystem::path> folder = {};
  /// After this time the program is killed and `timed_out` is set.
  std::chrono::milliseconds timeout = std::chrono::seconds(120);
  /// Sends `kill_signal` this long after the start.
  std::optional<std::chrono::milliseconds> kill_after = {};
  int kill_signal = 9;
  /// Runs beside the program, in a thread of its own, with the program's process id.
  std::function<void(int pid)> meanwhile = {};
};

struct RunResult {
  int exit_code = -1;  ///< -1 if a signal ended it
  int signal = 0;      ///< that signal, or 0
  bool timed_out = false;
  std::string out, err;
  uint64_t peak_memory = 0;  ///< largest resident memory, in bytes
};

/// Runs `command` (its first word is the program) with empty standard input.
RunResult run_command(const std::vector<std::string>& command, const RunOptions& options = {});

/// Runs the edm2 program that was built beside the tests.
RunResult run_edm2(const std::vector<std::string>& arguments, const RunOptions& options = {});

/// The program ended with that code and one "Error:" sentence that holds `text`, and nothing that
/// looks like a crash.
void expect_error(const RunResult& run, int code, const std::string& text);

/// Process ids of what `pid` has started and what still runs, with the value of one of their
/// environment variables ("" where it is not set).
std::map<std::string, int> children_by_variable(int pid, const std::string& variable);

/// Looks every few milliseconds until `holds`; false if it does not within `limit`.
bool wait_until(const std::function<bool()>& holds,
                std::chrono::milliseconds limit = std::chrono::seconds(60));

/// The whole file; empty if it cannot be read.
std::string read_file(const std::filesystem::path& path);

}  // namespace edm2::test
