#include "edm2/io/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

/// More than that is not kept for a disk that stays full; the oldest lines go first.
constexpr size_t most_pending = size_t{4} << 20;

/// Length of the file without the zeros that a lost power leaves at the end of it.
off_t length_without_zeros(int fd, off_t length) {
  char last = 0;
  while (length > 0 && ::pread(fd, &last, 1, length - 1) == 1 && last == '\0') --length;
  return length;
}

/// False with errno set.
bool end_last_line(int fd) {
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return false;
  if (!S_ISREG(info.st_mode)) return true;
  const off_t length = length_without_zeros(fd, info.st_size);
  if (length != info.st_size && ::ftruncate(fd, length) != 0) return false;
  char last = '\n';
  if (length > 0 && ::pread(fd, &last, 1, length - 1) != 1) return false;
  return last == '\n' || ::write(fd, "\n", 1) == 1;
}

}  // namespace

AppendFile::~AppendFile() {
  if (fd_ < 0) return;
  write_pending();
  ::close(fd_);
}

void AppendFile::open(const std::filesystem::path& path) {
  path_ = path;
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ >= 0 && end_last_line(fd_)) return;
  fail(errno);
  throw Error(error_);
}

bool AppendFile::append(const std::string& text) {
  pending_ += text;
  return write_pending();
}

bool AppendFile::write_pending() {
  struct stat before = {};
  if (pending_.empty()) return true;
  if (::fstat(fd_, &before) != 0) return fail(errno);
  for (size_t written = 0; written < pending_.size();) {
    const ssize_t count = ::write(fd_, pending_.data() + written, pending_.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int error = count < 0 ? errno : ENOSPC;
      if (S_ISREG(before.st_mode) && ::ftruncate(fd_, before.st_size) != 0)
        pending_.erase(0, written);  // the rest follows what stands there
      return fail(error);
    }
    written += static_cast<size_t>(count);
  }
  pending_.clear();
  return true;
}

bool AppendFile::sync() {
  if (!write_pending()) return false;
  // EINVAL: a file system that cannot sync.
  return ::fsync(fd_) == 0 || errno == EINVAL || fail(errno);
}

bool AppendFile::fail(int error) {
  error_ = "cannot write " + path_.string() + ": " + std::strerror(error);
  if (pending_.size() > most_pending)
    pending_.erase(0, pending_.find('\n', pending_.size() - most_pending) + 1);
  return false;
}

}  // namespace edm2
