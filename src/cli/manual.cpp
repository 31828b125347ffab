#include "cli/manual.h"

#include "edm2/core/words.h"

namespace edm2::cli {
namespace {

constexpr const char* introduction =
    "Options have the names that they have in the original. An option's value follows it after a "
    "blank or after `=`; the last of several occurrences counts. Exit codes: 0 done, 1 failed, 2 "
    "wrong usage, 75 training suspended, 128+N ended by signal N.";

std::string replace_all(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

/// "--steps INT", "-n, --dry-run", "NET"
std::string signature(const OptionEntry& option) {
  return join(option.names, ", ") + (option.value.empty() ? "" : " " + option.value);
}

std::string usage(const CommandEntry& command) {
  std::string text = command.full_name() + " [OPTIONS]";
  for (const OptionEntry& option : command.options)
    if (option.is_argument)
      text += option.is_required ? " " + option.names[0] : " [" + option.names[0] + "]";
  if (!command.subcommands.empty()) text += " COMMAND";
  return text;
}

std::string description(const OptionEntry& option) {
  return option.description + (option.is_required ? " [required]" : "");
}

bool is_help(const OptionEntry& option) { return option.names.front() == "--help"; }

// ---- roff

std::string roff(std::string text) {
  text = replace_all(std::move(text), "\\", "\\e");
  text = replace_all(std::move(text), "-", "\\-");
  text = replace_all(std::move(text), "`", "");
  if (text.starts_with(".") || text.starts_with("'")) text = "\\&" + text;
  return text;
}

}  // namespace

std::string markdown_manual(const std::vector<CommandEntry>& commands) {
  std::string text =
      "# All commands and options\n\nWritten by `edm2 manual --format=markdown`; do not edit. " +
      std::string(introduction) + "\n";
  const auto cell = [](const std::string& words) { return replace_all(words, "|", "\\|"); };
  for (const CommandEntry& command : commands) {
    text += "\n## " + command.full_name() + "\n\n" + command.description + ".\n\n```\n" +
            usage(command) + "\n```\n";
    std::string rows;
    for (const OptionEntry& option : command.options)
      if (!is_help(option) || command.path.empty())
        rows += "| `" + cell(signature(option)) + "` | " + cell(description(option)) + " |\n";
    if (!rows.empty()) text += "\n| option | meaning |\n|---|---|\n" + rows;
    if (!command.subcommands.empty()) {
      text += "\nCommands:";
      for (const std::string& name : command.subcommands) text += " `" + name + "`";
      text += "\n";
    }
  }
  return text;
}

std::string man_page(const std::vector<CommandEntry>& commands) {
  std::string text = ".TH EDM2 1 \"\" \"edm2 " EDM2_VERSION
                     "\" \"User Commands\"\n.SH NAME\nedm2 \\- " +
                     roff(commands.front().description) +
                     "\n.SH SYNOPSIS\n.B edm2\nCOMMAND [OPTIONS]\n.SH DESCRIPTION\n" +
                     roff(introduction) + "\n.SH COMMANDS\n";
  for (const CommandEntry& command : commands) {
    text += ".SS " + roff(command.full_name()) + "\n" + roff(command.description) + ".\n.PP\n.B " +
            roff(usage(command)) + "\n";
    for (const OptionEntry& option : command.options)
      if (!is_help(option) || command.path.empty())
        text += ".TP\n.B " + roff(signature(option)) + "\n" + roff(description(option)) + "\n";
  }
  return text +
         ".SH ENVIRONMENT\n.TP\n.B DNNLIB_CACHE_DIR\nWhere downloaded files are kept.\n.TP\n.B "
         "EDM2_CPU\nportable, avx2 or avx512: the instruction set of the program's own "
         "kernels.\n.TP\n.B OMP_NUM_THREADS\nThreads of a process.\n";
}

}  // namespace edm2::cli
