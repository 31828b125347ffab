/// What the user names where a file is wanted: paths, file:// and http(s):// addresses.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/progress.h"

namespace edm2 {

/// How addresses are fetched. Downloads are kept in a cache that is shared with the original: see
/// download_cache.h.
struct FetchOptions {
  /// Root of the cache; none = what the environment says (cache_roots()).
  std::optional<std::filesystem::path> cache_dir{};
  bool offline = false;  ///< use what is in the cache, download nothing

  /// Attempts in a row that bring nothing new before a download is given up, >= 1.
  int attempts = 10;
  /// Pause before the second attempt; each further one is twice as long, up to the longest. What
  /// the server asks for (Retry-After) is respected up to the longest.
  std::chrono::milliseconds first_pause{500}, longest_pause{30'000};
  std::chrono::milliseconds connect_timeout{30'000};
  /// An attempt fails when the server sends nothing, or less than 100 bytes a second, for so long.
  std::chrono::milliseconds stall_timeout{60'000};
  int max_redirects = 10;
};

/// The text is an address of the web (http:// or https://). False for paths and file://.
bool is_web_address(const std::string& source);

/// An address without the user name and password that it may hold, any other text as it is: for
/// messages.
std::string without_password(const std::string& source);

/// A path as it is; the path of a file:// address; for an http(s):// address the file in the cache,
/// downloaded if it is not there.
///
/// Downloads are resumed where they broke off, in this and in later calls; two processes never
/// download the same file at once; nothing appears in the cache under its final name before it is
/// whole. Whether local files exist is left to who reads them.
///
/// Throws Error (other kinds of addresses, no such file on the server, attempts used up, disk full,
/// not in the cache and offline) and Interrupted.
std::filesystem::path resolve_source(const std::string& source, const FetchOptions& options,
                                     Progress& progress);

enum class SourceKind {
  path,
  file_address,  ///< file://
  web_address,   ///< http:// or https://
  bundled,       ///< bundled:NAME; where a network is wanted, one that comes with the program
  run,           ///< FOLDER@STD, where a network is wanted; known once it is resolved
};

/// What the user named, and where that lies once it is resolved: made of a text, resolved once, at
/// the door of a command or of a call into the library, and passed down from there.
///
/// Resolving gives another object and leaves this one as it is, so that the next call with the same
/// options looks anew. Copies of a resolved one share its checksum.
class NamedSource {
 public:
  NamedSource() = default;  ///< nothing was named
  // NOLINTBEGIN(google-explicit-constructor): options take texts and paths
  NamedSource(std::string text);
  NamedSource(const char* text) : NamedSource(std::string(text)) {}
  NamedSource(const std::filesystem::path& path) : NamedSource(path.string()) {}
  operator const std::string&() const { return text_; }
  // NOLINTEND(google-explicit-constructor)

  bool empty() const { return text_.empty(); }
  const std::string& text() const { return text_; }
  SourceKind kind() const { return kind_; }
  bool is_web() const { return kind_ == SourceKind::web_address; }
  /// For messages: without the user name and password that an address may hold.
  std::string shown() const;

  bool is_resolved() const { return place_ != nullptr; }
  /// To what resolve_source() returns, which throws the same; itself if it is resolved already.
  NamedSource resolved(const FetchOptions& options, Progress& progress) const;
  /// For those who know more kinds of names, such as find_network().
  NamedSource resolved_to(std::filesystem::path file) const {
    return resolved_to(std::move(file), kind_);
  }
  NamedSource resolved_to(std::filesystem::path file, SourceKind kind) const;

  /// The file or folder, of a run its folder. Only if it is resolved.
  const std::filesystem::path& file() const;
  /// sha256_of_file(), which reads the file at the first call. Only if it is resolved. For several
  /// threads at once.
  const std::string& sha256() const;

 private:
  struct Place;
  std::string text_;
  SourceKind kind_ = SourceKind::path;
  std::shared_ptr<Place> place_;
};

/// Names of the files in a folder of a web server, from the links on the page that lists it.
/// Throws Error (as resolve_source(), or no such page) and Interrupted.
std::vector<std::string> list_web_folder(const std::string& url, const FetchOptions& options,
                                         Progress& progress);

/// The address of a file in a folder of a web server.
std::string web_file_address(const std::string& folder_url, const std::string& file_name);

/// Downloads into a file of one's own, which appears whole or not at all. What an interrupted call
/// left beside it is resumed. Nothing is done if the file is there. Throws as resolve_source().
void download_file(const std::string& url, const std::filesystem::path& target,
                   const FetchOptions& options, Progress& progress);

}  // namespace edm2
