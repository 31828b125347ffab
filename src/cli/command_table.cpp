#include "cli/command_table.h"

#include <algorithm>
#include <cctype>

#include "cli/command.h"
#include "edm2/core/words.h"

namespace edm2::cli {
namespace {

OptionEntry describe(const CLI::Option& option) {
  OptionEntry entry;
  entry.is_argument = option.get_positional();
  entry.is_required = option.get_required();
  entry.value = option.get_option_text();
  entry.description = option.get_description() + describe_default(option.get_default_str(), "");
  if (entry.is_argument) {
    entry.names = {option.get_name(true, false)};
    return entry;
  }
  for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
  return entry;
}

void list(const CLI::App& command, const std::vector<std::string>& path,
          std::vector<CommandEntry>& entries) {
  CommandEntry entry{path, command.get_description(), {}, {}};
  for (const CLI::Option* option : command.get_options())
    entry.options.push_back(describe(*option));
  const auto children = command.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* child : children) entry.subcommands.push_back(child->get_name());
  entries.push_back(std::move(entry));
  for (const CLI::App* child : children) {
    std::vector<std::string> deeper = path;
    deeper.push_back(child->get_name());
    list(*child, deeper, entries);
  }
}

}  // namespace

std::vector<std::string> OptionEntry::choices() const {
  if (value == "BOOL") return {"true", "false"};
  std::string words = value;
  std::erase_if(words, [](char c) { return c == '[' || c == ']'; });
  if (words.find('|') == std::string::npos) return {};
  std::vector<std::string> result = split(words, '|');
  const auto is_word = [](const std::string& word) {
    return !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '_';
    });
  };
  // Words in capitals stand for something, unless all are single letters.
  const auto stands_for_something = [](const std::string& word) {
    return word.size() > 2 && std::none_of(word.begin(), word.end(), [](unsigned char c) {
             return std::islower(c) != 0 || std::isdigit(c) != 0;
           });
  };
  if (!std::all_of(result.begin(), result.end(), is_word) ||
      std::any_of(result.begin(), result.end(), stands_for_something))
    return {};
  return result;
}

bool OptionEntry::takes_path() const {
  for (const char* word : {"FILE", "PATH", "DIR", "FOLDER", "RUN", "ZIP"})
    if (value.find(word) != std::string::npos) return true;
  return false;
}

std::string CommandEntry::full_name() const { return path.empty() ? "edm2" : "edm2 " + join(path); }

std::vector<CommandEntry> list_commands(const CLI::App& program) {
  std::vector<CommandEntry> entries;
  list(program, {}, entries);
  return entries;
}

}  // namespace edm2::cli
