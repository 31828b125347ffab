/// Manuals and shell completions, written from the option tables.
#pragma once

#include <string>
#include <vector>

#include "cli/command_table.h"

namespace edm2::cli {

/// A reference page in Markdown.
std::string markdown_manual(const std::vector<CommandEntry>& commands);
/// A man page (section 1) in roff.
std::string man_page(const std::vector<CommandEntry>& commands);

std::string bash_completion(const std::vector<CommandEntry>& commands);
std::string zsh_completion(const std::vector<CommandEntry>& commands);
std::string fish_completion(const std::vector<CommandEntry>& commands);

}  // namespace edm2::cli
