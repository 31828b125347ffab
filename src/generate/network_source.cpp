#include "edm2/generate/network_source.h"

#include "edm2/core/error.h"
#include "edm2/generate/presets.h"
#include "edm2/io/download_cache.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

const std::string bundled_prefix = "bundled:";

}  // namespace

fs::path find_network_file(const std::string& source, const FetchOptions& options,
                           Progress& progress) {
  if (source.starts_with(bundled_prefix))
    return find_bundled_model(source.substr(bundled_prefix.size()));
  return resolve_source(source, options, progress);
}

Snapshot load_network_source(const std::string& source, const FetchOptions& options,
                             Progress& progress) {
  const fs::path file = find_network_file(source, options, progress);
  try {
    return load_snapshot(file);
  } catch (const Error& error) {
    if (!is_web_address(source)) throw;
    throw Error(without_password(source) + " is not a usable network: " + error.what() +
                "; to download it again, remove it with: edm2 cache clear " +
                file.filename().string());
  }
}

}  // namespace edm2
