#include "edm2/core/platform.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "core/write_back.h"
#include "edm2/core/error.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

fs::path& chosen_executable() {
  static fs::path path;
  return path;
}

[[noreturn]] void fail(const std::string& what, const fs::path& path, int error) {
  throw Error(what + " " + path.string() + ": " + std::strerror(error));
}

/// Closes a file descriptor when the scope ends.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct ProcessFigures {
  int parent = 0;
  uint64_t resident = 0;  // bytes
};

// One line of /proc/PID/stat. The name in parentheses may hold blanks, so count from the last ')'.
bool read_process(const fs::path& folder, ProcessFigures& figures) {
  std::ifstream file(folder / "stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const size_t end_of_name = line.rfind(')');
  if (end_of_name == std::string::npos || end_of_name + 2 >= line.size()) return false;
  char state = 0;
  int parent = 0;
  long pages = 0;
  // Fields 3 (state), 4 (parent), ... 24 (resident pages) of proc(5).
  const int read = std::sscanf(line.c_str() + end_of_name + 2,
                               "%c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                               "%*s %*s %*s %*s %ld",
                               &state, &parent, &pages);
  if (read != 3) return false;
  figures.parent = parent;
  figures.resident = static_cast<uint64_t>(pages) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return true;
}

/// The number behind `key` in a file of lines "key: number kB"; 0 if there is none.
uint64_t kilobytes(const char* file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key + ':'))
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) * 1024;
  return 0;
}

/// What is left of the memory that a container may take; none without a limit.
uint64_t left_in_container() {
  constexpr uint64_t none = std::numeric_limits<uint64_t>::max();
  for (const auto& [limit_file, usage_file] :
       {std::pair{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        std::pair{"/sys/fs/cgroup/memory/memory.limit_in_bytes",
                  "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
    uint64_t limit = 0, usage = 0;
    std::ifstream limit_stream(limit_file), usage_stream(usage_file);
    if (limit_stream >> limit && usage_stream >> usage) return limit > usage ? limit - usage : 0;
  }
  return none;
}

}  // namespace

OwnMemory own_memory() {
  OwnMemory memory = {kilobytes("/proc/self/status", "VmRSS"),
                      kilobytes("/proc/self/status", "VmHWM")};
  if (memory.peak == 0) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    memory.peak = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  }
  return memory;
}

void reset_own_peak_memory() { std::ofstream("/proc/self/clear_refs") << 5; }

uint64_t available_memory() {
  return std::min(kilobytes("/proc/meminfo", "MemAvailable"), left_in_container());
}

double machine_processor_seconds() {
  // proc(5): user, nice, system, idle, iowait, irq, softirq, steal, in ticks.
  std::ifstream file("/proc/stat");
  std::string word;
  double ticks = 0, busy = 0;
  if (!(file >> word) || word != "cpu") return 0;
  for (int field = 0; field < 8 && file >> ticks; ++field)
    if (field != 3 && field != 4) busy += ticks;
  return busy / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double own_processor_seconds() {
  return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);  // a mapping goes back to the system as soon as it is freed
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

void release_freed_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

PageMemory::PageMemory(size_t size, Pages pages) : size_(size) {
  if (size == 0) return;  // mmap refuses empty ranges
  constexpr size_t huge = 2 << 20;
  size_t slack = 0;
#ifdef MADV_HUGEPAGE
  // Huge pages must begin at multiples of their size: what lies before and behind is let go of.
  if (pages == Pages::huge && size >= huge) slack = huge;
#else
  (void)pages;
#endif
  void* mapped = ::mmap(nullptr, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                        /*fd=*/-1, 0);
  if (mapped == MAP_FAILED)
    throw Error("no memory for " + std::to_string(size >> 20) + " MiB: " + std::strerror(errno));
  data_ = static_cast<std::byte*>(mapped);
#ifdef MADV_HUGEPAGE
  if (slack == 0) return;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t before = (huge - reinterpret_cast<uintptr_t>(data_) % huge) % huge;
  const size_t used = (size + page - 1) / page * page;
  if (before > 0) ::munmap(data_, before);
  data_ += before;
  if (slack - before > used - size) ::munmap(data_ + used, size + slack - before - used);
  ::madvise(data_, size, MADV_HUGEPAGE);  // if not: only slower
#endif
}

PageMemory::~PageMemory() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void PageMemory::give_back(size_t offset, size_t size) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t first = (offset + page - 1) / page * page, last = (offset + size) / page * page;
  if (first < last) ::madvise(data_ + first, last - first, MADV_DONTNEED);
}

std::filesystem::path executable_path() {
  if (!chosen_executable().empty()) return chosen_executable();
  std::error_code failed;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) throw Error("cannot find out where the program is installed: " + failed.message());
  return path;
}

void set_executable_path(const fs::path& path) { chosen_executable() = path; }

uint64_t resident_memory() {
  std::map<int, ProcessFigures> processes;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const int pid = std::atoi(entry.path().filename().c_str());
    ProcessFigures figures;
    if (pid > 0 && read_process(entry.path(), figures)) processes[pid] = figures;
  }
  uint64_t total = 0;
  for (const auto& [pid, figures] : processes) {
    // Walk up from every process; those that meet this one are descendants.
    int ancestor = pid;
    for (int depth = 0; depth < 100 && ancestor > 0 && ancestor != getpid(); ++depth) {
      const auto found = processes.find(ancestor);
      ancestor = found == processes.end() ? 0 : found->second.parent;
    }
    if (ancestor == getpid()) total += figures.resident;
  }
  return total;
}

void report_file_size_limit_as_error() { std::signal(SIGXFSZ, SIG_IGN); }

bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

int terminal_width(int fallback) {
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return fallback;
}

void sync_to_disk(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail("cannot open", path, errno);
  // Some file systems cannot sync a folder and say EINVAL; there is nothing more to do there.
  if (::fsync(file.get()) != 0 && errno != EINVAL && errno != EROFS)
    fail("cannot write to disk", path, errno);
}

void sync_file_system(const fs::path& folder) {
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail("cannot open", folder, errno);
#ifdef __linux__
  if (::syncfs(file.get()) != 0 && errno != EROFS) fail("cannot write to disk", folder, errno);
#else
  ::sync();
#endif
}

void start_write_back(int file_descriptor) {
#ifdef __linux__
  // To the end of the file; failures show up when it is synced.
  (void)::sync_file_range(file_descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
  (void)file_descriptor;
#endif
}

RandomAccessFile::RandomAccessFile(fs::path path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail("cannot open", path_, errno);
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) fail("cannot read", path_, errno);
  if (!S_ISREG(info.st_mode))
    throw Error("cannot read " + path_.string() + ": it is " +
                (S_ISDIR(info.st_mode) ? "a folder, and a file is needed" : "not a regular file"));
  fd_ = file.release();
}

RandomAccessFile::~RandomAccessFile() {
  if (fd_ >= 0) ::close(fd_);
}

RandomAccessFile::RandomAccessFile(RandomAccessFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

void RandomAccessFile::read_at(uint64_t offset, std::span<std::byte> target) const {
  while (!target.empty()) {
    const ssize_t got = ::pread(fd_, target.data(), target.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot read", path_, errno);
    if (got == 0) throw Error("cannot read " + path_.string() + ": it became shorter meanwhile");
    offset += static_cast<uint64_t>(got);
    target = target.subspan(static_cast<size_t>(got));
  }
}

#ifdef __linux__
namespace {
constexpr const char* origin_attribute = "user.xdg.origin.url";
}

void note_origin(const fs::path& path, const std::string& url) {
  // It is a help for people; a file system without it is none the worse.
  (void)::setxattr(path.c_str(), origin_attribute, url.data(), url.size(), 0);
}

std::string noted_origin(const fs::path& path) {
  std::string url(4096, '\0');
  const ssize_t size = ::getxattr(path.c_str(), origin_attribute, url.data(), url.size());
  return size > 0 ? url.substr(0, static_cast<size_t>(size)) : "";
}
#else
void note_origin(const fs::path&, const std::string&) {}
std::string noted_origin(const fs::path&) { return ""; }
#endif

MappedFile::MappedFile(const fs::path& path, Use use) : MappedFile(RandomAccessFile(path), use) {}

MappedFile::MappedFile(const RandomAccessFile& file, Use use) {
  struct stat info = {};
  if (::fstat(file.fd_, &info) != 0) fail("cannot read", file.path_, errno);
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;  // mmap refuses empty ranges
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd_, 0);
  if (data == MAP_FAILED) fail("cannot map", file.path_, errno);
  if (use == Use::little) ::madvise(data, size_, MADV_RANDOM);  // if not: only slower
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace edm2
