#include "edm2/io/source.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <mutex>

#include "edm2/core/error.h"
#include "edm2/io/digest.h"
#include "edm2/io/download_cache.h"
#include "io/download.h"
#include "io/html_links.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// "https" of "https://..."; none for paths.
std::optional<std::string> scheme_of(const std::string& source) {
  const size_t end = source.find("://");
  if (end == std::string::npos || end == 0) return std::nullopt;
  const std::string scheme = source.substr(0, end);
  const bool lower =
      std::all_of(scheme.begin(), scheme.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  return lower ? std::optional(scheme) : std::nullopt;
}

/// The original takes the path as it is written; browsers and file managers write blanks as %20.
fs::path path_of_file_address(const std::string& source) {
  const std::string rest = source.substr(std::string("file://").size());
  const size_t slash = rest.find('/');
  const std::string host = rest.substr(0, slash);
  if (slash == std::string::npos || (!host.empty() && host != "localhost"))
    throw Error("cannot open " + source +
                ": a file:// address has three slashes and an absolute path, such as "
                "file:///data/net.pkl");
  const std::string path = rest.substr(slash);
  std::error_code ignored;
  if (fs::exists(path, ignored)) return path;
  return percent_decoded(path);
}

/// Something between "//" and the next "/".
void check_host(const std::string& url) {
  const size_t begin = url.find("://") + 3;
  const bool has_host =
      begin < url.size() && std::string("/?#:").find(url[begin]) == std::string::npos;
  const bool printable = std::all_of(url.begin(), url.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
  if (!has_host || !printable)
    throw Error("cannot download '" + without_password(url) +
                "': this is not an address of the web");
}

SourceKind kind_of_source(const std::string& text) {
  if (text.starts_with("file://")) return SourceKind::file_address;
  if (is_web_address(text)) return SourceKind::web_address;
  return text.starts_with("bundled:") ? SourceKind::bundled : SourceKind::path;
}

}  // namespace

struct NamedSource::Place {
  explicit Place(fs::path where) : file(std::move(where)) {}
  const fs::path file;
  std::mutex mutex;    // of what follows
  std::string sha256;  // "" = not known yet
};

NamedSource::NamedSource(std::string text) : text_(std::move(text)), kind_(kind_of_source(text_)) {}

std::string NamedSource::shown() const { return without_password(text_); }

NamedSource NamedSource::resolved(const FetchOptions& options, Progress& progress) const {
  return is_resolved() ? *this : resolved_to(resolve_source(text_, options, progress));
}

NamedSource NamedSource::resolved_to(fs::path file, SourceKind kind) const {
  NamedSource result = *this;
  result.kind_ = kind;
  result.place_ = std::make_shared<Place>(std::move(file));
  return result;
}

const fs::path& NamedSource::file() const {
  TORCH_CHECK(is_resolved(), "[source] not resolved");
  return place_->file;
}

const std::string& NamedSource::sha256() const {
  const fs::path& path = file();
  const std::lock_guard lock(place_->mutex);
  if (place_->sha256.empty()) place_->sha256 = sha256_of_file(path);
  return place_->sha256;
}

std::string without_password(const std::string& source) {
  const size_t scheme = source.find("://");
  if (scheme == std::string::npos) return source;
  const size_t host = scheme + 3, end = std::min(source.find_first_of("/?#", host), source.size());
  const size_t at = source.substr(0, end).rfind('@');
  if (at == std::string::npos || at < host) return source;
  return source.substr(0, host) + source.substr(at + 1);
}

bool is_web_address(const std::string& source) {
  const auto scheme = scheme_of(source);
  return scheme == "http" || scheme == "https";
}

fs::path resolve_source(const std::string& source, const FetchOptions& options,
                        Progress& progress) {
  const auto scheme = scheme_of(source);
  if (!scheme) return source;
  if (scheme == "file") return path_of_file_address(source);
  if (!is_web_address(source))
    throw Error("cannot open " + source +
                ": addresses begin with http://, https:// or file://, not " + *scheme + "://");
  check_host(source);
  if (const auto file = find_cached(source, options)) return *file;
  const fs::path folder = cache_roots(options).front() / "downloads";
  if (options.offline)
    throw Error(without_password(source) + " is not in the cache " + folder.string() +
                ", and with --offline nothing is downloaded; start once without --offline");
  return download(source, folder, options, progress);
}

}  // namespace edm2
