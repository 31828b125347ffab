/// Downloads into the cache.
#pragma once

#include <filesystem>
#include <string>

#include "edm2/io/source.h"

namespace edm2 {

/// Fetches the address into `folder` (the cache's downloads/) and returns the file's path there. If
/// another process is at it, waits and returns what that brings. Errors as resolve_source().
std::filesystem::path download(const std::string& url, const std::filesystem::path& folder,
                               const FetchOptions& options, Progress& progress);

}  // namespace edm2
