#include "data/shard_archive.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/gzip.h"
#include "io/code_pages.h"
#include "io/foreign_content.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

using namespace std::string_view_literals;

class PlainShard : public ShardArchive {
 public:
  explicit PlainShard(const std::string& path) : tar_(path) {}
  const TarDirectory& directory() const override { return tar_.directory(); }
  std::vector<std::byte> read(size_t entry) const override { return tar_.read(entry); }

 private:
  TarReader tar_;
};

class PackedShard : public ShardArchive {
 public:
  PackedShard(std::string path, std::shared_ptr<UnpackedFiles> unpacked)
      : path_(std::move(path)), unpacked_(std::move(unpacked)) {
    const auto bytes = unpacked_->get(path_);
    check_unpacked_tar(*bytes, path_);
    directory_ = read_tar_contents(*bytes, path_);
  }
  const TarDirectory& directory() const override { return directory_; }
  std::vector<std::byte> read(size_t entry) const override {
    const TarEntry& file = directory_.entries.at(entry);
    const auto bytes = unpacked_->get(path_);
    if (file.offset > bytes->size() || bytes->size() - file.offset < file.size)
      throw Error("'" + path_ + "' has changed while it was read");
    const auto begin = bytes->begin() + static_cast<std::ptrdiff_t>(file.offset);
    return {begin, begin + static_cast<std::ptrdiff_t>(file.size)};
  }

 private:
  std::string path_;
  std::shared_ptr<UnpackedFiles> unpacked_;
  TarDirectory directory_;
};

constexpr std::string_view tar_extensions[] = {
    ".tar"sv, ".tar.gz"sv,  ".tgz"sv, ".tar.zst"sv, ".tzst"sv,    ".tar.xz"sv,
    ".txz"sv, ".tar.bz2"sv, ".tbz"sv, ".tbz2"sv,    ".tar.lz4"sv,
};

/// How long the extension at the end of the name is, 0 if it is another.
size_t tar_extension_size(const std::string& name) {
  const std::string lower = ascii_lower(name);
  size_t longest = 0;
  for (const std::string_view extension : tar_extensions)
    if (lower.size() > extension.size() && lower.ends_with(extension))
      longest = std::max(longest, extension.size());
  return longest;
}

}  // namespace

UnpackedFiles::Bytes UnpackedFiles::get(const std::string& path) {
  constexpr uint64_t most_bytes = uint64_t{2} << 30;
  constexpr size_t kept = 3;
  const std::lock_guard lock(mutex_);
  auto found = std::find_if(last_.begin(), last_.end(),
                            [&](const auto& file) { return file.first == path; });
  if (found == last_.end()) {
    while (last_.size() >= kept) last_.pop_back();
    const MappedFile file(path);
    auto bytes =
        gunzip(file.bytes(), std::min(most_bytes, most_unpacked_bytes(file.bytes().size())), path);
    last_.emplace_front(path, std::make_shared<const std::vector<std::byte>>(std::move(bytes)));
  } else {
    last_.splice(last_.begin(), last_, found);
  }
  return last_.front().second;
}

std::unique_ptr<ShardArchive> open_shard(const std::string& path,
                                         const std::shared_ptr<UnpackedFiles>& unpacked) {
  if (is_gzip_file(path)) return std::make_unique<PackedShard>(path, unpacked);
  return std::make_unique<PlainShard>(path);
}

void check_unpacked_tar(std::span<const std::byte> bytes, const std::string& path) {
  if (is_tar(bytes)) return;
  throw Error("the gzip file '" + path + "' holds no tar archive" +
              in_brackets(bytes.empty() ? "empty" : describe_content(bytes)));
}

bool is_gzip_file(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored) || fs::file_size(path, ignored) < 2 || ignored)
    return false;
  std::byte magic[2];
  RandomAccessFile(path).read_at(0, magic);
  return is_gzip(magic);
}

bool has_tar_extension(const std::string& name) { return tar_extension_size(name) > 0; }

std::string shard_stem(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  const size_t extension = tar_extension_size(name);
  if (extension == 0) return fs::path(name).replace_extension().string();
  return name.substr(0, name.size() - extension);
}

}  // namespace edm2
