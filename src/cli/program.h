/// The program without its main(): parses the command line, runs the command, turns errors into
/// messages and exit codes.
#pragma once

#include <functional>

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

}  // namespace edm2::cli
