#include "edm2/core/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

/// The lock's last holder may have removed the file between our opening and our locking it.
bool is_still_there(const std::filesystem::path& path, int descriptor) {
  struct stat by_name = {}, by_descriptor = {};
  return ::stat(path.c_str(), &by_name) == 0 && ::fstat(descriptor, &by_descriptor) == 0 &&
         by_name.st_ino == by_descriptor.st_ino && by_name.st_dev == by_descriptor.st_dev;
}

}  // namespace

FileLock::FileLock(std::filesystem::path path, int descriptor, bool effective)
    : path_(std::move(path)), descriptor_(descriptor), effective_(effective) {}

std::unique_ptr<FileLock> FileLock::try_acquire(const std::filesystem::path& path) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) throw Error("cannot write " + path.string() + ": " + std::strerror(errno));
    const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    const int error = errno;
    if (!locked && (error == EWOULDBLOCK || error == EINTR)) {
      ::close(descriptor);
      return nullptr;
    }
    if (locked && !is_still_there(path, descriptor)) {
      ::close(descriptor);
      continue;
    }
    return std::unique_ptr<FileLock>(new FileLock(path, descriptor, locked));
  }
}

FileLock::~FileLock() {
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace edm2
