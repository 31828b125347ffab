/// What belongs to one operating system: signals, memory figures, durable files, mapped files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace edm2 {

/// Resident memory of this process and its descendants, in bytes.
uint64_t resident_memory();

/// Resident memory of this process alone, now and at its highest since reset_own_peak_memory() (or
/// the start, where the system cannot forget), in bytes; 0 where the system does not tell.
struct OwnMemory {
  uint64_t resident = 0;
  uint64_t peak = 0;
};
/// What the system says now.
OwnMemory own_memory();
/// From now on `peak` is that since this call, where the system allows it.
void reset_own_peak_memory();

/// Memory that the processes of this machine (or container) can still take without swapping, in
/// bytes; 0 where the system does not tell.
uint64_t available_memory();

/// Seconds that all processors of this machine together have worked since it was started, for
/// whomever; 0 where the system does not tell.
double machine_processor_seconds();
/// Those that they have worked for this process.
double own_processor_seconds();

/// From now on the allocator keeps freed memory instead of giving it back to the system. Networks
/// allocate and free large tensors all the time, and fetching fresh pages for each is slower than
/// computing on them. Call it once, at the start of a program.
void keep_freed_memory();
/// Gives back what is free now, after work that has needed more than what follows.
void release_freed_memory();

/// Memory by the page, of which parts can be given back before the rest. Zeros at first.
class PageMemory {
 public:
  enum class Pages {
    usual,
    huge,  ///< where the system has them: less work for it, and for the processor's address tables
  };
  /// Throws Error if there is not so much memory.
  explicit PageMemory(size_t size, Pages pages = Pages::usual);
  ~PageMemory();
  PageMemory(const PageMemory&) = delete;
  PageMemory& operator=(const PageMemory&) = delete;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  /// Gives back the whole pages in [offset, offset + size): what was there is lost.
  void give_back(size_t offset, size_t size);

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The running program's own file.
std::filesystem::path executable_path();
/// From now on executable_path() is that: for other programs that hold the library, such as
/// Python. Beside it lie bundled models and libraries that are loaded on demand, and it is what is
/// started for more processes. To be called before other threads work.
void set_executable_path(const std::filesystem::path& path);

/// From now on SIGINT, SIGTERM and SIGUSR1 set a flag instead of ending the process. A second
/// SIGINT ends it, another signal only 5 s later: till then it is the same request by way of a
/// launcher.
void install_interrupt_handlers();
/// The same for these signals while it lives, within a program that handles them otherwise: then
/// the former handlers are back, and the request is forgotten. Further signals change nothing. One
/// at a time, in the main thread.
class InterruptScope {
 public:
  explicit InterruptScope(const std::vector<int>& signals);
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// While it lives, the first of these signals is answered at once by a line on standard error: for
/// work that comes to its end some time later. One at a time.
class InterruptNotice {
 public:
  explicit InterruptNotice(const std::string& line);
  ~InterruptNotice();
  InterruptNotice(const InterruptNotice&) = delete;
  InterruptNotice& operator=(const InterruptNotice&) = delete;

 private:
  std::string text_;
};

/// The signal that arrived, or 0.
int pending_signal();
/// Throws Interrupted if a signal arrived. Long work calls this between units.
void check_interrupt();

/// A file that grows beyond the limit of the process (`ulimit -f`) is an error of the function that
/// writes, from now on, instead of a signal that ends the process.
void report_file_size_limit_as_error();

/// Standard error is a terminal.
bool stderr_is_terminal();
/// Columns of that terminal, or `fallback`.
int terminal_width(int fallback = 80);

/// Writes what the system holds of the file (or folder) to the disk. Throws Error.
void sync_to_disk(const std::filesystem::path& path);

/// The same for everything that has been written to the file system of this folder: for folders of
/// many files, each of which would wait for the disk by itself.
void sync_file_system(const std::filesystem::path& folder);

/// A file that is read at any position. read_at() may be called by several threads at once.
class RandomAccessFile {
 public:
  /// Throws Error if the file cannot be opened or is not a regular file.
  explicit RandomAccessFile(std::filesystem::path path);
  ~RandomAccessFile();
  RandomAccessFile(RandomAccessFile&& other) noexcept;
  RandomAccessFile& operator=(RandomAccessFile&&) = delete;

  /// Fills `target` with the bytes from `offset` on. Throws Error naming the file: it ends before,
  /// or cannot be read.
  void read_at(uint64_t offset, std::span<std::byte> target) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  friend class MappedFile;

  std::filesystem::path path_;
  int fd_ = -1;
};

/// Notes on the file where it was downloaded from, as browsers do (the extended attribute
/// user.xdg.origin.url), on file systems that can hold such notes.
void note_origin(const std::filesystem::path& path, const std::string& url);
/// That note, or "".
std::string noted_origin(const std::filesystem::path& path);

/// A whole file as read-only memory. The file must not shrink while mapped.
class MappedFile {
 public:
  /// What will be looked at.
  enum class Use {
    all,
    little,  ///< a few places only: the system is told not to read what lies around them
  };
  /// Throws Error if the file cannot be opened or is not a regular file.
  explicit MappedFile(const std::filesystem::path& path, Use use = Use::all);
  /// The same file, even if there is another of that name by now.
  explicit MappedFile(const RandomAccessFile& file, Use use = Use::all);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace edm2
