// Pages on which web servers list the files of a folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edm2 {

/// Names of the files directly in the folder of address `folder` (which ends with '/') that the
/// page links to, in its order, each once. Links elsewhere, to folders and to queries (sorting)
/// are left out.
std::vector<std::string> linked_files(std::string_view html, std::string_view folder);

/// %20 and so on.
std::string percent_decoded(std::string_view text);
/// Everything but letters, digits and "-._~" as %XX.
std::string percent_encoded(std::string_view text);

}  // namespace edm2
