#include "edm2/io/download_cache.h"

#include <algorithm>
#include <cstdlib>

#include "edm2/io/digest.h"
#include "io/cache_files.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// An environment variable counts when it is set, even to nothing, as for the original.
std::optional<fs::path> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<fs::path>(value);
}

fs::path original_root() {
  for (const char* name : {"HOME", "USERPROFILE"})
    if (const auto home = variable(name)) return *home / ".cache" / "dnnlib";
  std::error_code failed;
  const fs::path folder = fs::temp_directory_path(failed);
  return (failed ? fs::path("/tmp") : folder) / ".cache" / "dnnlib";
}

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_';
}

/// The X of `...; filename="X"`.
std::optional<std::string> file_name_of(const std::string& content_disposition) {
  const std::string key = "filename=\"";
  const size_t begin = content_disposition.find(key);
  if (begin == std::string::npos) return std::nullopt;
  const size_t end = content_disposition.find('"', begin + key.size());
  if (end == std::string::npos) return std::nullopt;
  return content_disposition.substr(begin + key.size(), end - begin - key.size());
}

}  // namespace

std::vector<fs::path> cache_roots(const FetchOptions& options) {
  if (options.cache_dir) return {*options.cache_dir};
  if (const auto folder = variable("DNNLIB_CACHE_DIR")) return {*folder};
  const fs::path original = original_root();
  const auto xdg = variable("XDG_CACHE_HOME");
  // The base directory specification: what is not absolute is to be ignored.
  if (!xdg || !xdg->is_absolute() || *xdg / "dnnlib" == original) return {original};
  std::error_code ignored;
  if (fs::is_directory(original, ignored)) return {original, *xdg / "dnnlib"};
  return {*xdg / "dnnlib", original};
}

std::vector<fs::path> cached_files_of(const std::string& url, const fs::path& folder) {
  const std::string prefix = md5_hex(url) + "_";
  std::vector<fs::path> files;
  std::error_code failed;
  for (auto entry = fs::directory_iterator(folder, failed);
       !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    std::error_code ignored;
    if (entry->path().filename().string().starts_with(prefix) && entry->is_regular_file(ignored))
      files.push_back(entry->path());
  }
  return files;
}

std::optional<fs::path> only_cached_file(const std::string& url, const fs::path& folder) {
  const auto files = cached_files_of(url, folder);
  std::error_code failed;
  if (files.size() != 1 || fs::file_size(files[0], failed) == 0 || failed) return std::nullopt;
  return files[0];
}

std::optional<fs::path> find_cached(const std::string& url, const FetchOptions& options) {
  for (const fs::path& root : cache_roots(options))
    if (const auto file = only_cached_file(url, root / "downloads")) return file;
  return std::nullopt;
}

std::string cached_file_name(const std::string& url, const std::string& content_disposition) {
  std::string name = file_name_of(content_disposition).value_or(without_password(url));
  name = name.substr(0, 128);
  for (char& c : name)
    if (!is_name_character(c)) c = '_';
  return md5_hex(url) + "_" + name;
}

}  // namespace edm2
