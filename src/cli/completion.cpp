// Completions for shells: plain tables, so that pressing Tab does not start the program.
#include "cli/manual.h"
#include "edm2/core/words.h"

namespace edm2::cli {
namespace {

/// "dataset convert", " train": the commands before and the word that leads to this one.
std::string parent_and_name(const CommandEntry& command) {
  const std::vector<std::string> parent(command.path.begin(), command.path.end() - 1);
  return join(parent) + " " + command.path.back();
}

/// For single quotes in bash and zsh.
std::string quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::vector<std::string> option_names(const CommandEntry& command) {
  std::vector<std::string> names;
  for (const OptionEntry& option : command.options)
    if (!option.is_argument)
      for (const std::string& name : option.names)
        if (name.starts_with("--")) names.push_back(name);
  return names;
}

bool takes_path_argument(const CommandEntry& command) {
  for (const OptionEntry& option : command.options)
    if (option.is_argument && option.takes_path()) return true;
  return false;
}

}  // namespace

std::string bash_completion(const std::vector<CommandEntry>& commands) {
  std::string text =
      "# bash completion of edm2: source this file, or put it into\n"
      "# ~/.local/share/bash-completion/completions/edm2\n"
      "_edm2() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" command='' word i option=''\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
      "    word=\"${COMP_WORDS[i]}\"\n"
      "    case \"$command $word\" in\n";
  for (const CommandEntry& command : commands)
    if (!command.path.empty()) {
      text += "      " + quote(parent_and_name(command)) +
              ") command=" + quote(join(command.path)) + " ;;\n";
    }
  text +=
      "    esac\n"
      "  done\n"
      "  # Readline cuts words at '=': --option=value is three of them.\n"
      "  if [[ $current == = ]]; then\n"
      "    option=\"${COMP_WORDS[COMP_CWORD-1]}\" current=''\n"
      "  elif ((COMP_CWORD >= 2)) && [[ ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then\n"
      "    option=\"${COMP_WORDS[COMP_CWORD-2]}\"\n"
      "  elif ((COMP_CWORD >= 1)) && [[ ${COMP_WORDS[COMP_CWORD-1]} == --* ]]; then\n"
      "    option=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  fi\n"
      "  case \"$command $option\" in\n";
  for (const CommandEntry& command : commands)
    for (const OptionEntry& option : command.options) {
      if (option.is_argument || option.value.empty()) continue;
      std::string action = "return";
      if (const auto choices = option.choices(); !choices.empty())
        action = "COMPREPLY=($(compgen -W " + quote(join(choices)) + " -- \"$current\")); return";
      else if (option.takes_path())
        action =
            "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$current\")); return";
      for (const std::string& name : option.names)
        text += "    " + quote(join(command.path) + " " + name) + ") " + action + " ;;\n";
    }
  text +=
      "  esac\n"
      "  case \"$command\" in\n";
  for (const CommandEntry& command : commands) {
    std::vector<std::string> words = option_names(command);
    words.insert(words.end(), command.subcommands.begin(), command.subcommands.end());
    text += "    " + quote(join(command.path)) + ") COMPREPLY=($(compgen -W " + quote(join(words)) +
            " -- \"$current\"))";
    if (takes_path_argument(command))
      text += "; [[ $current == -* ]] || COMPREPLY+=($(compgen -f -- \"$current\"))";
    text += " ;;\n";
  }
  return text +
         "  esac\n"
         "}\n"
         "complete -F _edm2 edm2\n";
}

std::string zsh_completion(const std::vector<CommandEntry>& commands) {
  // In _arguments, descriptions stand in brackets and messages between colons.
  const auto plain = [](const std::string& text) {
    std::string result;
    for (const char c : text) {
      if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
      result += c;
    }
    return result;
  };
  std::string text =
      "#compdef edm2\n"
      "# zsh completion of edm2: put this file as _edm2 into a folder of $fpath\n";
  for (const CommandEntry& command : commands) {
    text += "\n_edm2" + (command.path.empty() ? "" : "_" + join(command.path, "_")) + "() {\n";
    std::string specs;
    for (const OptionEntry& option : command.options) {
      std::string action;
      if (const auto choices = option.choices(); !choices.empty())
        action = ":value:(" + join(choices) + ")";
      else if (option.takes_path())
        action = ":" + plain(option.value) + ":_files";
      else if (!option.value.empty())
        action = ":" + plain(option.value) + ":";
      if (option.is_argument) {
        specs += " \\\n    " + quote(action.empty() ? ":argument:" : action);
        continue;
      }
      for (const std::string& name : option.names) {
        const bool with_value = !option.value.empty() && name.starts_with("--");
        specs += " \\\n    " + quote(name + (with_value ? "=" : "") + "[" +
                                     plain(option.description) + "]" + action);
      }
    }
    if (command.subcommands.empty()) {
      text += "  _arguments" + specs + "\n}\n";
      continue;
    }
    text += "  local state line\n  _arguments -C" + specs + " \\\n    '1:command:(" +
            join(command.subcommands) +
            ")' \\\n    '*::argument:->rest'\n  case $state in\n    rest)\n      case "
            "$words[1] in\n";
    for (const std::string& name : command.subcommands) {
      std::vector<std::string> path = command.path;
      path.push_back(name);
      text += "        " + name + ") _edm2_" + join(path, "_") + " ;;\n";
    }
    text += "      esac ;;\n  esac\n}\n";
  }
  return text + "\n_edm2 \"$@\"\n";
}

std::string fish_completion(const std::vector<CommandEntry>& commands) {
  const auto quoted = [](const std::string& text) {
    std::string result = "'";
    for (const char c : text) {
      if (c == '\'' || c == '\\') result += '\\';
      result += c;
    }
    return result + "'";
  };
  std::string text =
      "# fish completion of edm2: put this file into ~/.config/fish/completions\n"
      "function __edm2_command\n"
      "    set -l command ''\n"
      "    for word in (commandline -opc)[2..-1]\n"
      "        switch \"$command $word\"\n";
  for (const CommandEntry& command : commands)
    if (!command.path.empty()) {
      text += "            case " + quoted(parent_and_name(command)) +
              "\n                set command " + quoted(join(command.path)) + "\n";
    }
  text +=
      "        end\n"
      "    end\n"
      "    test \"$command\" = \"$argv[1]\"\n"
      "end\n"
      "complete -c edm2 -f\n";
  for (const CommandEntry& command : commands) {
    const std::string condition =
        "complete -c edm2 -n " + quoted("__edm2_command " + quoted(join(command.path)));
    for (const std::string& name : command.subcommands)
      for (const CommandEntry& child : commands)
        if (child.path.size() == command.path.size() + 1 && child.path.back() == name &&
            std::equal(command.path.begin(), command.path.end(), child.path.begin()))
          text += condition + " -a " + name + " -d " + quoted(child.description) + "\n";
    for (const OptionEntry& option : command.options) {
      if (option.is_argument) {
        if (option.takes_path()) text += condition + " -F\n";
        continue;
      }
      text += condition;
      for (const std::string& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (const auto choices = option.choices(); !choices.empty())
        text += " -x -a " + quoted(join(choices));
      else if (!option.value.empty())
        text += option.takes_path() ? " -r -F" : " -x";
      text += " -d " + quoted(option.description) + "\n";
    }
  }
  return text;
}

}  // namespace edm2::cli
