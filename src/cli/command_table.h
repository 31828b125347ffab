/// What the program's option tables say of themselves, for manuals and completions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace edm2::cli {

struct OptionEntry {
  std::vector<std::string> names;  ///< "--steps", "-n"; of an argument its name alone
  std::string value;               ///< "INT", "[a|b]"; empty: a switch
  std::string description;         ///< with its default
  bool is_argument = false;        ///< told by its place
  bool is_required = false;

  /// What may stand as value if it is one of a few words, such as true and false.
  std::vector<std::string> choices() const;
  /// The value is a file or a folder, or may be one.
  bool takes_path() const;
};

struct CommandEntry {
  std::vector<std::string> path;  ///< {"dataset", "convert"}; empty: the program
  std::string description;
  std::vector<OptionEntry> options;
  std::vector<std::string> subcommands;

  /// "edm2 dataset convert"
  std::string full_name() const;
};

/// The program, then its commands, each followed by its own.
std::vector<CommandEntry> list_commands(const CLI::App& program);

}  // namespace edm2::cli
