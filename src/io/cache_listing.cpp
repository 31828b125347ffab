#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/file_lock.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/digest.h"
#include "edm2/io/download_cache.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr size_t md5_digits = 32;

bool begins_with_md5(const std::string& text) {
  return text.size() > md5_digits && text.find_first_not_of("0123456789abcdef") == md5_digits &&
         text[md5_digits] == '_';
}

/// "tmp_MD5" of "tmp_MD5.part": the helpers of such a download are .json and .lock.
std::optional<std::string> stem_of_part(const std::string& name) {
  if (!name.starts_with("tmp_") || !name.ends_with(".part")) return std::nullopt;
  return name.substr(0, name.size() - std::string(".part").size());
}

/// Ours, the original's, and what a crash left of writing a helper.
bool is_leftover(const std::string& name) {
  return name.starts_with("tmp_") || name.starts_with(".tmp_");
}

bool is_helper_of_a_part(const fs::path& path) {
  if (path.extension() != ".json" && path.extension() != ".lock") return false;
  return fs::exists(fs::path(path).replace_extension(".part"));
}

/// From the notes beside an unfinished download.
std::string url_in_notes(const fs::path& part) {
  try {
    const std::string text =
        read_text_file(fs::path(part).replace_extension(".json"), size_t{1} << 20);
    return without_password(nlohmann::json::parse(text).at("url"));
  } catch (const std::exception&) {
    return "";
  }
}

/// '*' any characters, '?' one.
bool matches_whole(std::string_view text, std::string_view pattern) {
  size_t t = 0, p = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;  // the star takes one character more
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

/// False where it is gone already.
void remove_file(const fs::path& path) {
  std::error_code failed;
  fs::remove(path, failed);
  if (failed) throw Error("cannot remove " + path.string() + ": " + failed.message());
}

}  // namespace

std::vector<CachedFile> list_cache(const FetchOptions& options,
                                   const std::vector<std::string>& known_urls) {
  std::map<std::string, std::string> url_of_md5;
  for (const std::string& url : known_urls) url_of_md5[md5_hex(url)] = without_password(url);
  std::vector<CachedFile> files;
  for (const fs::path& root : cache_roots(options)) {
    std::error_code failed;
    for (auto entry = fs::directory_iterator(root / "downloads", failed);
         !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
      const std::string name = entry->path().filename().string();
      std::error_code gone;
      const bool counts = begins_with_md5(name) || is_leftover(name);
      if (!counts || !entry->is_regular_file(gone) || is_helper_of_a_part(entry->path())) continue;
      CachedFile file{entry->path()};
      file.size = entry->file_size(gone);
      file.modified = entry->last_write_time(gone);
      if (gone) continue;
      file.unfinished = is_leftover(name);
      if (stem_of_part(name))
        file.url = url_in_notes(file.path);
      else if (!file.unfinished)
        file.url = noted_origin(file.path);
      const auto known = url_of_md5.find(name.substr(file.unfinished ? 4 : 0, md5_digits));
      if (known != url_of_md5.end()) file.url = known->second;
      files.push_back(std::move(file));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const CachedFile& a, const CachedFile& b) { return a.path < b.path; });
  return files;
}

bool matches(const CachedFile& file, const std::string& pattern) {
  const std::string name = file.path.filename().string();
  if (name.find(md5_hex(pattern)) != std::string::npos) return true;
  if (pattern.find_first_of("*?") != std::string::npos &&
      (matches_whole(name, pattern) || matches_whole(file.url, pattern)))
    return true;
  return name.find(pattern) != std::string::npos || file.url.find(pattern) != std::string::npos;
}

bool remove_cached(const CachedFile& file) {
  const auto stem = stem_of_part(file.path.filename().string());
  if (!stem) {
    remove_file(file.path);
    return true;
  }
  const fs::path base = file.path.parent_path() / *stem;
  const auto lock = FileLock::try_acquire(base.string() + ".lock");
  if (!lock) return false;
  remove_file(file.path);
  remove_file(base.string() + ".json");
  return true;
}

}  // namespace edm2
