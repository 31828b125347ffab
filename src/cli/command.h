/// What every command of the program shares: common options and helpers that add options.
///
/// A command is one file with one function `add_X_command(CLI::App&, CommandContext&)`, declared in
/// commands.h: it adds a subcommand, its options (which fill one plain struct) and a callback with
/// one call into the library. Errors are left to main.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/parsers.h"
#include "edm2/core/device.h"
#include "edm2/core/error.h"
#include "edm2/core/option_table.h"
#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/io/source.h"

namespace edm2::cli {

/// Thrown where the command is done and the program ends with this code, told or untold.
struct ProgramEnd {
  int code = 0;
  std::optional<std::string> message;
};

/// Values of the options that several commands have.
class CommandContext {
 public:
  bool quiet = false;
  bool log_json = false;
  std::string device_name = "auto";
  edm2::Precision precision = Precision::automatic;
  FetchOptions fetch;
  std::optional<int64_t> nproc;
  double time_limit = ProcessGroupOptions().time_limit;
  std::vector<std::string> words;  ///< the command line without the program's name

  /// The one progress sink of this run, made at the first call; call processes() before it. Only
  /// the first process reports.
  std::shared_ptr<Progress> progress();
  /// Ends a progress bar, so that an error message begins on a line of its own.
  void close_progress() { progress_.reset(); }

  /// The processes that work on this command, this one among them. A launcher has started them, or
  /// --nproc does, here: then this call waits for them and throws ProgramEnd. Makes device_name
  /// that of this process. Throws Error, GroupError.
  ProcessGroup& processes();
  /// Where and how an operation computes, and how it downloads.
  template <class Options>
  void fill(Options& options) const {
    options.fetch = fetch;
    options.device = device_name;
    options.precision = precision;
  }

  /// What processes() has made, or none.
  ProcessGroup* group() { return group_.get(); }
  /// Says good-bye to the other processes.
  void leave_group() { group_.reset(); }

 private:
  std::shared_ptr<Progress> progress_;
  std::unique_ptr<ProcessGroup> group_;
};

/// For commands that one process does alone: throws if a launcher has started several.
void require_single_process(const std::string& message = "Distributed execution is not supported");

/// --nproc and --time-limit, for commands that call CommandContext::processes().
void add_process_options(CLI::App& command, CommandContext& context);
/// --quiet and --log-json.
void add_progress_options(CLI::App& command, CommandContext& context);
/// --cache-dir.
void add_cache_option(CLI::App& command, CommandContext& context);
/// --offline and --cache-dir: for commands that take addresses where others take files.
void add_fetch_options(CLI::App& command, CommandContext& context);
/// --device and --precision.
void add_device_options(CLI::App& command, CommandContext& context);

/// "[default: 32; x>=1]" with a leading blank; empty without default and range.
std::string describe_default(const std::string& default_text, const std::string& range_text);

std::string default_text(const std::string& value);
std::string default_text(int64_t value);
std::string default_text(double value);
template <class T>
std::string default_text(const std::optional<T>& value) {
  return value ? default_text(*value) : std::string();
}

/// An option whose text is given to `take`, whose UsageErrors get the option's name in front.
/// `value_name` and `default_text` are for --help. The last occurrence on the command line wins.
CLI::Option* add_text_taker(CLI::App& command, const std::string& names,
                            std::function<void(const std::string&)> take,
                            const std::string& value_name, const std::string& description,
                            const std::string& default_text = "",
                            const std::string& range_text = "");

/// The same with a `target`, which may be optional, for what `parse` makes of the text.
template <class Target, class Parse>
CLI::Option* add_parsed_option(CLI::App& command, const std::string& names, Target& target,
                               Parse parse, const std::string& value_name,
                               const std::string& description, const std::string& default_text = "",
                               const std::string& range_text = "") {
  return add_text_taker(
      command, names,
      [&target, parse = std::move(parse)](const std::string& text) { target = parse(text); },
      value_name, description, default_text, range_text);
}

/// Integer (int64_t or optional of it); the default shown is what `target` holds now, unless
/// another text is given.
template <class Target>
CLI::Option* add_int_option(CLI::App& command, const std::string& names, Target& target,
                            const IntRange& range, const std::string& description,
                            const std::string& shown_default = "") {
  return add_parsed_option(
      command, names, target, [range](const std::string& text) { return parse_int(text, range); },
      "INT", description, shown_default.empty() ? default_text(target) : shown_default,
      range.describe());
}

/// Number of images, such as 8Mi (int64_t or optional of it).
template <class Target>
CLI::Option* add_nimg_option(CLI::App& command, const std::string& names, Target& target,
                             const IntRange& range, const std::string& description,
                             const std::string& default_text = "") {
  return add_parsed_option(
      command, names, target, [range](const std::string& text) { return parse_nimg(text, range); },
      "NIMG", description, default_text, range.describe());
}

/// Floating-point number (double or optional of it).
template <class Target>
CLI::Option* add_float_option(CLI::App& command, const std::string& names, Target& target,
                              const FloatRange& range, const std::string& description,
                              const std::string& shown_default = "") {
  return add_parsed_option(
      command, names, target, [range](const std::string& text) { return parse_float(text, range); },
      "FLOAT", description, shown_default.empty() ? default_text(target) : shown_default,
      range.describe());
}

/// `--x=true` and so on (bool or optional of it).
template <class Target>
CLI::Option* add_bool_option(CLI::App& command, const std::string& names, Target& target,
                             const std::string& description, const std::string& default_text = "") {
  return add_parsed_option(command, names, target, parse_bool, "BOOL", description, default_text);
}

/// Any text (std::string, std::filesystem::path or optional of them).
template <class Target>
CLI::Option* add_text_option(CLI::App& command, const std::string& names, Target& target,
                             const std::string& metavar, const std::string& description,
                             const std::string& default_text = "") {
  return add_parsed_option(
      command, names, target, [](const std::string& text) { return text; }, metavar, description,
      default_text);
}

/// For options that change a setting only where they are given.
template <class T, class U>
void take_if_given(const std::optional<T>& given, U& target) {
  if (given) target = *given;
}

/// `--x` without a value.
CLI::Option* add_switch(CLI::App& command, const std::string& names, bool& target,
                        const std::string& description);

/// The default that --help shows of an option of a table.
std::string default_text(const OptionDescription& option, const std::optional<OptionValue>& value);

/// An option of a table, which fills `target`.
template <class Struct>
void add_option(CLI::App& command, const Option<Struct>& option, Struct& target) {
  const auto take = [&target, type = option.type, set = option.set](const std::string& text) {
    set(target, parse_option_value(type, text), text);
  };
  if (option.value_name.empty()) {
    command
        .add_flag_callback(
            "--" + option.name, [take] { take("true"); }, option.help)
        ->disable_flag_override();
  } else {
    add_text_taker(command, "--" + option.name, take, option.value_name, option.help,
                   default_text(option, option.get(target)), option.range);
  }
}

/// The option as a command describes it that uses it in another way.
template <class Struct>
Option<Struct> in_other_words(Option<Struct> option, const std::string& help,
                              const std::string& value_name) {
  option.help = help;
  option.value_name = value_name;
  return option;
}

/// All options of a table.
template <class Struct>
void add_options(CLI::App& command, const OptionTable<Struct>& table, Struct& target) {
  for (const auto& option : table) add_option(command, option, target);
}

}  // namespace edm2::cli
