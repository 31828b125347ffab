#include "io/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/source.h"

namespace edm2 {
namespace fs = std::filesystem;

PartialFile::PartialFile(const fs::path& folder, const std::string& stem, const std::string& url)
    : bytes_(folder / (stem + ".part")),
      notes_(folder / (stem + ".json")),
      url_(without_password(url)) {
  descriptor_ = ::open(bytes_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("cannot write", errno);
  try {
    take_over();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  // Without notes, or a way to ask for the rest, the bytes are of no use.
  if (discarded_ || synced_ == 0 || !(remote_.has_validator() || is_complete())) {
    ::unlink(bytes_.c_str());
    ::unlink(notes_.c_str());
  }
}

void PartialFile::fail(const std::string& what, int error) const {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  throw Error(what + " " + bytes_.string() + ": " + std::strerror(error) +
              (full ? "; make room there or choose another --cache-dir" : ""));
}

void PartialFile::take_over() {
  struct stat info = {};
  if (::fstat(descriptor_, &info) != 0) fail("cannot read", errno);
  if (!S_ISREG(info.st_mode))
    throw Error("cannot write " + bytes_.string() + ": it is not a regular file");
  try {
    const auto notes = nlohmann::json::parse(read_text_file(notes_, size_t{1} << 20));
    const auto synced = notes.at("synced").get<uint64_t>();
    RemoteFile remote{notes.at("etag"), notes.at("last_modified"), std::nullopt, notes.at("name")};
    if (!notes.at("length").is_null()) remote.length = notes.at("length").get<uint64_t>();
    const bool plausible = synced <= static_cast<uint64_t>(info.st_size) &&
                           synced <= remote.length.value_or(synced) &&
                           remote.name.find('/') == std::string::npos;
    if (notes.at("url") == url_ && plausible) {
      remote_ = std::move(remote);
      size_ = synced_ = synced;
    }
  } catch (const Error&) {                      // no notes
  } catch (const nlohmann::json::exception&) {  // not ours: the bytes say nothing
  }
  truncate(size_);
}

void PartialFile::truncate(uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0 ||
      ::lseek(descriptor_, static_cast<off_t>(size), SEEK_SET) < 0)
    fail("cannot write", errno);
  size_ = size;
  synced_ = std::min(synced_, size);
}

void PartialFile::restart(RemoteFile remote) {
  // The notes go first: old bytes must never stand beside new notes.
  if (::unlink(notes_.c_str()) == 0) sync_to_disk(notes_.parent_path());
  truncate(0);
  remote_ = std::move(remote);
}

void PartialFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("cannot write", written < 0 ? errno : ENOSPC);
    size_ += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void PartialFile::sync() {
  if (size_ == synced_) return;
  if (::fsync(descriptor_) != 0) fail("cannot write", errno);
  nlohmann::ordered_json notes = {{"url", url_},          {"name", remote_.name},
                                  {"etag", remote_.etag}, {"last_modified", remote_.last_modified},
                                  {"length", nullptr},    {"synced", size_}};
  if (remote_.length) notes["length"] = *remote_.length;
  // Headers need not be UTF-8; such ones are of no use for a later process.
  write_file(notes_, notes.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  synced_ = size_;
}

void PartialFile::commit(const fs::path& target) {
  if (::fsync(descriptor_) != 0) fail("cannot write", errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("cannot write", errno);
  std::error_code failed;
  fs::rename(bytes_, target, failed);
  if (failed) throw Error("cannot write " + target.string() + ": " + failed.message());
  sync_to_disk(target.parent_path());
  discarded_ = true;  // the notes
}

}  // namespace edm2
