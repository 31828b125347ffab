#include "edm2/core/scratch_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

[[noreturn]] void fail_with(const std::string& what, const std::filesystem::path& folder,
                            int error) {
  throw Error("cannot " + what + " a temporary file in " + folder.string() + ": " +
              std::strerror(error));
}

}  // namespace

ScratchFile::ScratchFile(std::filesystem::path folder) : folder_(std::move(folder)) {
  std::string name = (folder_ / ".edm2-scratch-XXXXXX").string();
  fd_ = ::mkstemp(name.data());
  if (fd_ < 0) fail_with("make", folder_, errno);
  ::unlink(name.c_str());
}

ScratchFile::~ScratchFile() { ::close(fd_); }

void ScratchFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail_with("write", folder_, put < 0 ? errno : ENOSPC);
    offset += static_cast<uint64_t>(put);
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
}

void ScratchFile::read_at(uint64_t offset, std::span<std::byte> target) const {
  while (!target.empty()) {
    const ssize_t got = ::pread(fd_, target.data(), target.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail_with("read", folder_, got < 0 ? errno : EIO);
    offset += static_cast<uint64_t>(got);
    target = target.subspan(static_cast<size_t>(got));
  }
}

}  // namespace edm2
