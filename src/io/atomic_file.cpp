#include "edm2/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <stdexcept>
#include <utility>

#include "core/write_back.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to_write(const fs::path& target, int error) {
  throw Error("cannot write " + target.string() + ": " + std::strerror(error));
}

// `.NAME.PID-RANDOM.tmp` beside the target: same file system, hidden, and never two alike.
fs::path temporary_name(const fs::path& target) {
  constexpr size_t longest_name = 200;  // leaves room for the rest within the usual limit of 255
  const std::string name = target.filename().string().substr(0, longest_name);
  std::random_device random;
  char suffix[64];
  std::snprintf(suffix, sizeof suffix, ".%ld-%08x%08x.tmp", static_cast<long>(getpid()), random(),
                random());
  return target.parent_path() / ("." + name + suffix);
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// A link is followed, so that its target changes and not the link. A folder or a device
// (/dev/null!) must never be replaced by a file.
fs::path resolve_target(const fs::path& target) {
  std::error_code error;
  const fs::file_status status = fs::status(target, error);
  if (!target.has_filename() || fs::is_directory(status))
    throw Error("cannot write " + target.string() + ": it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw Error("cannot write " + target.string() + ": it is not a regular file");
  if (fs::exists(status) && fs::is_symlink(fs::symlink_status(target, error)))
    return fs::canonical(target, error);
  return target;
}

}  // namespace

AtomicFile::AtomicFile(fs::path target)
    : target_(resolve_target(target)), temporary_(temporary_name(target_)) {
  const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) fail_to_write(target_, errno);
  file_ = ::fdopen(fd, "wb");
  if (file_ == nullptr) {
    const int error = errno;
    ::close(fd);
    ::unlink(temporary_.c_str());
    fail_to_write(target_, error);
  }
}

AtomicFile::~AtomicFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (file_ == nullptr) throw std::logic_error("AtomicFile: write after commit");
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size())
    fail_to_write(target_, errno);
  // Otherwise commit() waits for gigabytes.
  constexpr uint64_t portion = uint64_t{16} << 20;
  held_back_ += bytes.size();
  if (held_back_ < portion) return;
  start_write_back(::fileno(file_));
  held_back_ = 0;
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::skip(uint64_t bytes) {
  if (file_ == nullptr) throw std::logic_error("AtomicFile: skip after commit");
  if (::fseeko(file_, static_cast<off_t>(bytes), SEEK_CUR) != 0) fail_to_write(target_, errno);
}

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  if (file_ == nullptr) throw std::logic_error("AtomicFile: write after commit");
  if (std::fflush(file_) != 0) fail_to_write(target_, errno);
  while (!bytes.empty()) {
    const ssize_t done =
        ::pwrite(::fileno(file_), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail_to_write(target_, done < 0 ? errno : ENOSPC);
    offset += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void AtomicFile::commit() {
  if (file_ == nullptr) throw std::logic_error("AtomicFile: committed twice");
  // Full disks show up here at the latest.
  if (std::fclose(std::exchange(file_, nullptr)) != 0) fail_to_write(target_, errno);
  // By name, because a library that wrote by itself may have replaced the file that we opened.
  sync_to_disk(temporary_);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_to_write(target_, errno);
  committed_ = true;
  sync_to_disk(folder_of(target_));
}

void write_file(const fs::path& target, std::span<const std::byte> bytes) {
  AtomicFile file(target);
  file.write(bytes);
  file.commit();
}

void write_file(const fs::path& target, std::string_view text) {
  write_file(target, std::as_bytes(std::span(text.data(), text.size())));
}

void prepare_output_folder(const std::filesystem::path& folder, const std::string& option) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed || !std::filesystem::is_directory(folder))
    throw Error("cannot create the folder '" + folder.string() + "' (" +
                (failed ? failed.message() : "a file is in the way") + "); choose another " +
                option);
  AtomicFile probe(folder / ".edm2-write-test");  // removed again: never committed
}

std::string read_text_file(const fs::path& path, size_t max_bytes) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > max_bytes)
    throw Error("cannot read " + path.string() + ": " + std::to_string(bytes.size()) +
                " bytes are more than the " + std::to_string(max_bytes) +
                " expected of such a file");
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace edm2
