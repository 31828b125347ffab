/// Text files that grow by whole lines: logs and statistics of long runs.
#pragma once

#include <filesystem>
#include <string>

namespace edm2 {

/// Appends text so that a reader sees all of it or nothing. What cannot be written (full disk) is
/// kept in memory and tried again with the next.
class AppendFile {
 public:
  AppendFile() = default;
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// Makes the file if need be. A last line without its end (the program was killed, the machine
  /// lost power) is ended first. Throws Error naming the file.
  void open(const std::filesystem::path& path);
  bool is_open() const { return fd_ >= 0; }

  /// False if it could not be written; error() then says why.
  bool append(const std::string& text);
  const std::string& error() const { return error_; }
  /// Puts what has been appended to the disk. False as above.
  bool sync();

 private:
  bool write_pending();
  bool fail(int error);

  std::filesystem::path path_;
  int fd_ = -1;
  std::string pending_, error_;
};

}  // namespace edm2
