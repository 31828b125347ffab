#include "data/dataset_writer.h"

#include <unistd.h>

#include <fstream>
#include <system_error>

#include "edm2/core/error.h"
#include "edm2/io/zip.h"

namespace edm2 {
namespace fs = std::filesystem;

namespace {

class ZipDestination : public DatasetWriter {
 public:
  explicit ZipDestination(const fs::path& path) : zip_(path) {}
  void add(const std::string& name, std::span<const std::byte> contents) override {
    zip_.add(name, contents);
  }
  void finish() override { zip_.finish(); }

 private:
  ZipWriter zip_;
};

/// Writes into a folder with a temporary name beside the destination.
class FolderDestination : public DatasetWriter {
 public:
  explicit FolderDestination(const fs::path& path)
      : path_(path), partial_(path.string() + ".partial-" + std::to_string(getpid())) {
    std::error_code error;
    fs::remove_all(partial_, error);
    fs::create_directories(partial_, error);
    if (error)
      throw Error("cannot create the folder '" + partial_.string() + "': " + error.message());
  }
  ~FolderDestination() override {
    std::error_code ignored;
    fs::remove_all(partial_, ignored);
  }

  void add(const std::string& name, std::span<const std::byte> contents) override {
    const fs::path path = partial_ / name;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(contents.data()),
               static_cast<std::streamsize>(contents.size()));
    file.close();
    if (!file) throw Error("cannot write '" + path.string() + "'; is the disk full?");
  }

  void finish() override {
    std::error_code error;
    fs::rename(partial_, path_, error);  // replaces an empty folder
    if (error)
      throw Error("cannot rename '" + partial_.string() + "' to '" + path_.string() +
                  "': " + error.message());
  }

 private:
  fs::path path_, partial_;
};

}  // namespace

bool is_zip_name(const std::string& path) { return path.ends_with(".zip"); }

void check_destination(const std::string& dest) {
  if (dest.empty()) throw Error("--dest output filename or directory must not be an empty string");
  std::error_code error;
  if (is_zip_name(dest)) {
    if (fs::is_directory(dest, error))
      throw Error("--dest '" + dest + "' is a folder; remove it or choose another name");
    return;
  }
  if (!fs::exists(dest, error)) return;
  if (!fs::is_directory(dest, error) || !fs::is_empty(dest, error))
    throw Error("--dest folder must be empty");
}

std::unique_ptr<DatasetWriter> open_destination(const std::string& dest) {
  fs::path path = fs::absolute(dest).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "out/" -> "out"
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error)
    throw Error("cannot create the folder '" + path.parent_path().string() +
                "': " + error.message());
  if (is_zip_name(dest)) return std::make_unique<ZipDestination>(path);
  return std::make_unique<FolderDestination>(path);
}

}  // namespace edm2
