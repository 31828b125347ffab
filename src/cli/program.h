/// The program without its main(): parses the command line, runs the command, turns errors into
/// messages and exit codes.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace edm2::cli {

class CommandContext;

/// Returns 0 done, 1 failed, 2 wrong usage, 128 + N ended by signal N.
int run_program(int argc, const char* const* argv);

/// The same with other commands than the program's own, and without signal handlers.
using AddCommands = std::function<void(CLI::App& app, CommandContext& context)>;
int run_program(int argc, const char* const* argv, CommandContext& context, const AddCommands& add);

/// How a command ended, before anybody has been told.
struct Ending {
  int code = 0;              ///< as run_program() returns it
  std::string message = {};  ///< "Error: ...", "Interrupted." or ""
  bool show_usage = false;

  /// The message without "Error: " in front.
  std::string sentence() const;
};

/// Runs the command of these words (without the program's name), but leaves it to the caller to set
/// up the process and to tell how it ended. For one process.
Ending run_command(const std::vector<std::string>& words);

}  // namespace edm2::cli
