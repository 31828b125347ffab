#include <random>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/source.h"
#include "io/download.h"
#include "io/html_links.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

std::string with_slash(const std::string& url) { return url.ends_with('/') ? url : url + '/'; }

// A folder beside the target, of a name that a later call finds again.
fs::path part_folder(const fs::path& target) {
  return target.parent_path() / ('.' + target.filename().string() + ".download");
}

void require_online(const std::string& url, const FetchOptions& options) {
  if (options.offline)
    throw Error("cannot download " + without_password(url) + ": --offline forbids it");
}

void remove_folder(const fs::path& folder) {
  std::error_code ignored;
  fs::remove_all(folder, ignored);
}

}  // namespace

std::vector<std::string> list_web_folder(const std::string& url, const FetchOptions& options,
                                         Progress& progress) {
  require_online(url, options);
  const fs::path folder =
      fs::temp_directory_path() / ("edm2-listing-" + std::to_string(std::random_device()()));
  struct Remover {
    const fs::path& folder;
    ~Remover() { remove_folder(folder); }
  } const remover{folder};
  const fs::path page = download(with_slash(url), folder, options, progress);
  return linked_files(read_text_file(page), with_slash(url));
}

std::string web_file_address(const std::string& folder_url, const std::string& file_name) {
  return with_slash(folder_url) + percent_encoded(file_name);
}

void download_file(const std::string& url, const fs::path& target, const FetchOptions& options,
                   Progress& progress) {
  std::error_code ignored;
  if (fs::is_regular_file(target, ignored)) return;
  require_online(url, options);
  const fs::path parts = part_folder(target);
  const fs::path file = download(url, parts, options, progress);
  std::error_code failed;
  fs::rename(file, target, failed);
  if (failed) throw Error("cannot write " + target.string() + ": " + failed.message());
  remove_folder(parts);
}

}  // namespace edm2
