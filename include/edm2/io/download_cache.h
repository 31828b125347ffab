/// The folder of downloaded files, shared with the original: same place, same names.
///
/// The file of an address is `downloads/MD5_NAME` below the cache's root: MD5 of the address's
/// text, and a name that is only for people. It counts if it is the only one with that MD5.
/// Unfinished downloads and their helpers begin with `tmp_`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/io/source.h"

namespace edm2 {

/// Roots of the cache, the one that new files go to first. `options.cache_dir` or, if that is not
/// given, $DNNLIB_CACHE_DIR stands alone. Otherwise $HOME/.cache/dnnlib as for the original (then
/// $USERPROFILE/.cache/dnnlib, then that in the system's temporary folder), and, if
/// $XDG_CACHE_HOME is set, $XDG_CACHE_HOME/dnnlib. Files are found in both; new ones go to the
/// original's folder if it is there already, else to XDG's.
std::vector<std::filesystem::path> cache_roots(const FetchOptions& options);

/// The file of that address in the first root that has it; none if there is none.
std::optional<std::filesystem::path> find_cached(const std::string& url,
                                                 const FetchOptions& options);

/// "MD5_NAME": what the file of that address is called, given the Content-Disposition header of
/// the server's response ("" = none).
std::string cached_file_name(const std::string& url, const std::string& content_disposition);

/// A file of the cache.
struct CachedFile {
  std::filesystem::path path;
  uint64_t size = 0;  ///< bytes on the disk
  std::filesystem::file_time_type modified = {};
  std::string url{};        ///< without password; "" = not known
  bool unfinished = false;  ///< what an interrupted download left
};

/// All files of the cache, in all of its roots, by name; files that are not the cache's are left
/// out. The names tell no addresses: those of `known_urls` are recognized, and others where the
/// file system has kept a note.
std::vector<CachedFile> list_cache(const FetchOptions& options,
                                   const std::vector<std::string>& known_urls = {});

/// The pattern is the address, or a part of the file's name or address, or with `*` and `?` the
/// whole of one of them.
bool matches(const CachedFile& file, const std::string& pattern);

/// False if a download is going on and the file was left alone. Throws Error if it cannot be
/// removed.
bool remove_cached(const CachedFile& file);

}  // namespace edm2
