// edm2 manual and edm2 completion: the option tables in other forms.
#include <iostream>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/manual.h"

namespace edm2::cli {
namespace {

using Writer = std::string (*)(const std::vector<CommandEntry>&);

Writer find(const std::vector<std::pair<std::string, Writer>>& writers, const std::string& name) {
  std::string names;
  for (const auto& [known, writer] : writers) {
    if (known == name) return writer;
    names += (names.empty() ? "" : ", ") + known;
  }
  throw UsageError("'" + name + "' is not one of " + names + ".");
}

Writer parse_format(const std::string& name) {
  return find({{"man", man_page}, {"markdown", markdown_manual}}, name);
}

Writer parse_shell(const std::string& name) {
  return find({{"bash", bash_completion}, {"zsh", zsh_completion}, {"fish", fish_completion}},
              name);
}

}  // namespace

void add_manual_command(CLI::App& app, CommandContext&) {
  CLI::App* command = app.add_subcommand("manual", "Print the manual of all commands and options");
  auto writer = std::make_shared<Writer>(man_page);
  add_parsed_option(*command, "--format", *writer, parse_format, "[man|markdown]",
                    "man: a page for man(1)", "man");
  command->callback([writer, &app] { std::cout << (*writer)(list_commands(app)); });
}

void add_completion_command(CLI::App& app, CommandContext&) {
  CLI::App* command = app.add_subcommand("completion", "Print the completion script of a shell");
  auto writer = std::make_shared<Writer>();
  add_parsed_option(*command, "SHELL", *writer, parse_shell, "[bash|zsh|fish]", "The shell")
      ->required();
  command->callback([writer, &app] { std::cout << (*writer)(list_commands(app)); });
}

}  // namespace edm2::cli
