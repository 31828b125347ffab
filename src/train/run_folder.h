// The files of a training run: each appears whole, with its checksum in a list, or not at all.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/file_lock.h"
#include "train/manifest.h"

namespace edm2 {

/// Makes a file at the path that it gets.
using FileWriter = std::function<void(const std::filesystem::path&)>;

/// Only one process of a run has it open.
class RunFolder {
 public:
  static constexpr const char* manifest_name = "checksums.sha256";

  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  ~RunFolder() { close(); }
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Makes the folder if need be, keeps other runs out of it, removes what a killed run left half
  /// written, and reads the checksums. Throws Error: cannot be written, another run is in it (and
  /// does not leave it within `patience`, as one that was told to end may).
  void open(std::chrono::seconds patience = std::chrono::seconds(10));
  /// Lets other runs in.
  void close();
  const std::filesystem::path& path() const { return path_; }

  /// The path that `write` gets has `name` as its last part. The file is put to the disk and
  /// its checksum into the list, and only then it gets its place in this folder, where it may
  /// replace an older one. Throws Error; then this folder is as before.
  void publish(const std::string& name, const FileWriter& write);

  /// What is wrong with the file by the list of checksums; none if nothing is or it is not listed
  /// (made by another program).
  std::optional<std::string> damage(const std::string& name) const;
  /// Deletes the files and their checksums. Throws Error.
  void remove(const std::vector<std::string>& names);

 private:
  std::filesystem::path staging() const { return path_ / ".saving"; }
  void remove_leftovers() const;
  void read_manifest();
  void write_manifest(Manifest manifest);

  std::filesystem::path path_;
  std::unique_ptr<FileLock> lock_;
  Manifest manifest_;
};

}  // namespace edm2
