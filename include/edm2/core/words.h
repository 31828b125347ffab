/// Lists in one text.
#pragma once

#include <string>
#include <vector>

namespace edm2 {

/// The parts between the separators, empty ones too: "a,,b" -> "a", "", "b"; "" -> "".
std::vector<std::string> split(const std::string& text, char separator);
/// The words with the separator between them.
std::string join(const std::vector<std::string>& words, const std::string& separator = " ");

}  // namespace edm2
