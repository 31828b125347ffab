#include "cli/program.h"

#include <c10/util/Exception.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/core/cpu.h"
#include "edm2/core/device.h"
#include "edm2/core/platform.h"
#include "edm2/core/printable.h"
#include "edm2/core/process_group.h"

namespace edm2::cli {
namespace {

constexpr int failed = 1, wrong_usage = 2;
const std::string error_mark = "Error: ";

/// Help lines in the manner of `--steps INT   Sampling steps [default: 32; x>=1]`.
class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(32); }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_option_text().empty() ? "" : " " + option->get_option_text();
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    return option->get_description() + describe_default(option->get_default_str(), "") +
           (option->get_required() ? " [required]" : "");
  }
};

std::string version_text() {
  return "edm2 " EDM2_VERSION "\n" + describe_libtorch() + "\nCPU " + describe_cpu();
}

/// The command that the user got to: `edm2 dataset convert` -> convert.
CLI::App& innermost_command(CLI::App& app) {
  CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().back();
  return *command;
}

/// The program itself, or a command that only holds others.
bool is_group(const CLI::App& command) {
  return command.get_parent() == nullptr ||
         !command.get_subcommands([](const CLI::App*) { return true; }).empty();
}

/// "edm2 dataset convert"
std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : full_name(*parent) + " ") + command.get_name();
}

std::string usage_line(const CLI::App& command) {
  std::string line = "Usage: " + full_name(command) + " [OPTIONS]";
  for (const CLI::Option* option : command.get_options())
    if (option->get_positional()) line += " " + option->get_name(true, false);
  if (is_group(command)) line += " COMMAND";
  return line;
}

void print_ending(CLI::App& app, const Ending& ending) {
  if (ending.show_usage) {
    const CLI::App& command = innermost_command(app);
    std::cerr << usage_line(command) << "\nTry '" << full_name(command) << " --help' for help.\n\n";
  }
  if (!ending.message.empty()) std::cerr << printable_lines(ending.message) << "\n";
}

Ending wrong(const std::string& message) { return {wrong_usage, error_mark + message, true}; }
Ending failure(const std::string& message) { return {failed, error_mark + message}; }

/// A failure of one of many processes is that of all: they end with one code, and one of them tells
/// it, with the name of the one that failed. What hangs then must not keep the program, so it ends
/// here.
void end_with_group(CLI::App& app, ProcessGroup& group, const Ending& ending) {
  std::string reason = ending.sentence();
  if (ending.code > 128) reason = "interrupted by signal " + std::to_string(ending.code - 128);
  const auto [first, tell] = group.report_failure(reason, ending.code);
  if (tell) {
    // A signal that came to this process too needs no name.
    const bool plain = first.exit_code > 128 && pending_signal() != 0;
    print_ending(app, {first.exit_code, plain ? "Interrupted." : "Error: " + first.describe(),
                       first.rank == group.rank() && ending.show_usage});
  }
  std::fflush(nullptr);
  std::cout.flush();
  std::_Exit(first.exit_code);
}

/// What the parser did not know comes before its other complaints, because a mistyped option
/// is also a missing one.
std::string parse_error_message(CLI::App& app, const CLI::ParseError& error) {
  auto unknown = app.remaining(true);
  std::erase(unknown, "--");
  if (!unknown.empty()) {
    const std::string& word = unknown.front();
    if (word.size() > 1 && word[0] == '-')
      return "No such option '" + word.substr(0, word.find('=')) + "'.";
    if (is_group(innermost_command(app))) return "No such command '" + word + "'.";
    return "Got unexpected extra argument (" + word + ").";
  }
  std::string text = error.what();
  const std::string name = text.substr(0, text.find_first_of(" :"));
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)
    return (name.starts_with("-") ? "Missing option '" : "Missing argument '") + name + "'.";
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && name.starts_with("-"))
    return "Option '" + name + "' requires an argument.";
  return text;
}

/// CLI11 takes the next word as the value of `--x=`; here it is the empty text.
std::vector<std::string> split_empty_values(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc), result;
  bool options = true;
  for (const std::string& word : words) {
    if (word == "--") options = false;
    const bool empty_value = options && word.starts_with("--") && word.ends_with('=') &&
                             word.find('=') + 1 == word.size();
    result.push_back(empty_value ? word.substr(0, word.size() - 1) : word);
    if (empty_value) result.emplace_back();
  }
  return result;
}

void set_up(CLI::App& app) {
  app.description("Diffusion models of the EDM2 family: train, generate, evaluate");
  app.name("edm2");
  app.formatter(std::make_shared<HelpFormatter>());
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.require_subcommand(0, 1);  // subcommands inherit the 1: one command a call
  app.set_version_flag("--version", version_text, "Show version, libtorch and CPU, and exit");
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// Ends the program between the parsing of a command and its callback, which must stay: it owns
/// what the options are parsed into.
void stop_after_parsing(CLI::App& app) {
  app.parse_complete_callback([&app] {
    if (!is_group(innermost_command(app))) throw ProgramEnd{};
  });
}

/// Runs the parser and the command that it calls; throws what they throw.
int parse_and_run(CLI::App& app, int argc, const char* const* argv) {
  auto words = split_empty_values(argc, argv);
  cpu_level();                               // a wrong EDM2_CPU is an error whatever the command
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  app.parse(std::move(words));
  if (is_group(innermost_command(app))) {
    std::cerr << app.help();
    return wrong_usage;
  }
  return 0;
}

/// The one place where errors become messages and exit codes.
Ending run_and_catch(CLI::App& app, CommandContext& context, int argc, const char* const* argv) {
  try {
    const int code = parse_and_run(app, argc, argv);
    context.leave_group();
    return {code};
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;  // of the command that was reached
    return {};
  } catch (const CLI::CallForVersion&) {
    std::cout << version_text() << std::endl;
    return {};
  } catch (const ProgramEnd& end) {
    return {end.code, end.message ? "Error: " + *end.message : ""};
  } catch (const CLI::ParseError& error) {
    return wrong(parse_error_message(app, error));
  } catch (const UsageError& error) {
    return wrong(error.what());
  } catch (const Interrupted& interrupted) {
    return {128 + interrupted.signal, "Interrupted."};
  } catch (const GroupError& error) {
    return {error.failure.exit_code, error.tell ? std::string("Error: ") + error.what() : ""};
  } catch (const std::bad_alloc&) {
    return failure("out of memory");
  } catch (const c10::Error& error) {
    const bool whole = std::getenv("EDM2_STACK_TRACE") != nullptr;
    return failure(whole ? error.what() : first_line(error.what_without_backtrace()));
  } catch (const std::exception& error) {  // edm2::Error among them
    return failure(error.what());
  }
}

int run_and_report(CLI::App& app, CommandContext& context, int argc, const char* const* argv) {
  const Ending ending = run_and_catch(app, context, argc, argv);
  if (ending.code == 0) return 0;
  context.close_progress();
  if (context.group() != nullptr && context.group()->size() > 1)
    end_with_group(app, *context.group(), ending);
  print_ending(app, ending);
  return ending.code;
}

}  // namespace

std::string Ending::sentence() const {
  return message.starts_with(error_mark) ? message.substr(error_mark.size()) : message;
}

Ending run_command(const std::vector<std::string>& words) {
  CLI::App app;
  CommandContext context;
  set_up(app);
  add_commands(app, context);
  context.words = words;
  std::vector<const char*> argv = {"edm2"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  Ending ending = run_and_catch(app, context, static_cast<int>(argv.size()), argv.data());
  context.close_progress();
  std::cout.flush();
  return ending;
}

int run_program(int argc, const char* const* argv) {
  keep_freed_memory();
  make_matrix_products_reproducible();
  silence_libtorch_log();
  install_interrupt_handlers();
  report_file_size_limit_as_error();
  CommandContext context;
  return run_program(argc, argv, context, add_commands);
}

int run_program(int argc, const char* const* argv, CommandContext& context,
                const AddCommands& add) {
  CLI::App app;
  set_up(app);
  bool only_check = false;
  add_switch(app, "--check-options", only_check,
             "Say what is wrong with the command's options, and do nothing else");
  add(app, context);
  if (argc > 1 && argv[1] == std::string_view("--check-options")) stop_after_parsing(app);
  context.words.assign(argv + std::min(argc, 1), argv + argc);
  const int code = run_and_report(app, context, argc, argv);
  // A full disk behind `edm2 ... > file` shows up here at the latest.
  if (code == 0 && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout.flush())) {
    const Ending ending = failure("cannot write to standard output");
    print_ending(app, ending);
    return ending.code;
  }
  return code;
}

}  // namespace edm2::cli
