/// Looking into a cache folder.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace edm2 {

/// All finished files of that address in `folder` (the cache's downloads/).
std::vector<std::filesystem::path> cached_files_of(const std::string& url,
                                                   const std::filesystem::path& folder);
/// That file if there is exactly one and it is not empty.
std::optional<std::filesystem::path> only_cached_file(const std::string& url,
                                                      const std::filesystem::path& folder);

}  // namespace edm2
