#include "data/dataset_writer.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <system_error>

#include "edm2/core/error.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"

namespace edm2 {
namespace fs = std::filesystem;

namespace {

/// Files with a dataset.json.
class ListingWriter : public DatasetWriter {
 public:
  void add(const std::string& name, std::span<const std::byte> contents,
           const Label& label) override {
    put(name, contents);
    all_labelled_ = all_labelled_ && !label.is_null();
    if (all_labelled_)
      labels_.push_back({name, label});
    else
      labels_ = {};
  }
  void finish(const nlohmann::ordered_json& more) override {
    std::string json = label_file_text(all_labelled_ ? std::optional(labels_) : std::nullopt);
    for (const auto& [key, value] : more.items())
      json.insert(json.size() - 1, ", \"" + key + "\": " + value.dump());
    put("dataset.json", std::as_bytes(std::span(json)));
    close();
  }

 protected:
  virtual void put(const std::string& name, std::span<const std::byte> contents) = 0;
  virtual void close() = 0;

 private:
  LabelList labels_;
  bool all_labelled_ = true;
};

class ZipDestination : public ListingWriter {
 public:
  explicit ZipDestination(const fs::path& path) : zip_(path) {}
  void name_classes(const std::vector<std::string>& names) override {
    // In ASCII, so that it is good in every terminal and cannot look like a part of the archive.
    const std::string comment = nlohmann::json{{"class_names", names}}.dump(
        -1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
    constexpr size_t longest_comment = 65535;
    if (comment.size() <= longest_comment) zip_.set_comment(comment);
  }

 protected:
  void put(const std::string& name, std::span<const std::byte> contents) override {
    zip_.add(name, contents);
  }
  void close() override { zip_.finish(); }

 private:
  ZipWriter zip_;
};

/// A folder with a temporary name beside the destination.
class PartialFolder {
 public:
  explicit PartialFolder(const fs::path& path)
      : path_(path), partial_(path.string() + ".partial-" + std::to_string(getpid())) {
    std::error_code error;
    fs::remove_all(partial_, error);
    fs::create_directories(partial_, error);
    if (error)
      throw Error("cannot create the folder '" + partial_.string() + "': " + error.message());
  }
  ~PartialFolder() {
    std::error_code ignored;
    fs::remove_all(partial_, ignored);
  }
  PartialFolder(const PartialFolder&) = delete;
  PartialFolder& operator=(const PartialFolder&) = delete;

  const fs::path& path() const { return partial_; }
  void finish() {
    sync_file_system(partial_);
    std::error_code error;
    fs::rename(partial_, path_, error);  // replaces an empty folder
    if (error)
      throw Error("cannot rename '" + partial_.string() + "' to '" + path_.string() +
                  "': " + error.message());
    sync_to_disk(fs::absolute(path_).parent_path());
  }

 private:
  fs::path path_, partial_;
};

class FolderDestination : public ListingWriter {
 public:
  explicit FolderDestination(const fs::path& path) : folder_(path) {}

 protected:
  void put(const std::string& name, std::span<const std::byte> contents) override {
    const fs::path path = folder_.path() / name;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(contents.data()),
               static_cast<std::streamsize>(contents.size()));
    file.close();
    if (!file) throw Error("cannot write '" + path.string() + "'; is the disk full?");
  }
  void close() override { folder_.finish(); }

 private:
  PartialFolder folder_;
};

/// Items followed by their labels, as WebDataset expects them.
class TarDestination : public DatasetWriter {
 public:
  explicit TarDestination(const fs::path& path) : tar_(path) {}

  void add(const std::string& name, std::span<const std::byte> contents,
           const Label& label) override {
    tar_.add(name, contents);
    const std::string key = name.substr(0, name.rfind('.'));
    if (label.is_number()) tar_.add(key + ".cls", label.dump());
    if (label.is_array()) tar_.add(key + ".json", nlohmann::json{{"label", label}}.dump());
  }
  void finish(const nlohmann::ordered_json&) override { tar_.finish(); }

 private:
  TarWriter tar_;
};

class ShardDestination : public DatasetWriter {
 public:
  ShardDestination(const fs::path& path, int64_t shard_size)
      : folder_(path), shard_size_(shard_size) {}

  void add(const std::string& name, std::span<const std::byte> contents,
           const Label& label) override {
    if (count_ % shard_size_ == 0) begin_shard();
    ++count_;
    shard_->add(name, contents, label);
  }

  void finish(const nlohmann::ordered_json&) override {
    if (shard_) shard_->finish({});
    folder_.finish();
  }

 private:
  void begin_shard() {
    if (shard_) shard_->finish({});
    char name[64];
    std::snprintf(name, sizeof name, "shard-%06lld.tar",
                  static_cast<long long>(count_ / shard_size_));
    shard_ = std::make_unique<TarDestination>(folder_.path() / name);
  }

  PartialFolder folder_;
  std::unique_ptr<TarDestination> shard_;  // before the folder goes
  int64_t shard_size_, count_ = 0;
};

}  // namespace

bool is_zip_name(const std::string& path) { return path.ends_with(".zip"); }
bool is_tar_name(const std::string& path) { return path.ends_with(".tar"); }

void check_destination(const std::string& dest) {
  if (dest.empty()) throw Error("--dest output filename or directory must not be an empty string");
  std::error_code error;
  if (is_zip_name(dest) || is_tar_name(dest)) {
    if (fs::is_directory(dest, error))
      throw Error("--dest '" + dest + "' is a folder; remove it or choose another name");
    return;
  }
  if (!fs::exists(dest, error)) return;
  if (!fs::is_directory(dest, error) || !fs::is_empty(dest, error))
    throw Error("--dest folder must be empty");
}

fs::path destination_path(const std::string& dest) {
  const fs::path path = fs::absolute(dest).lexically_normal();
  return path.has_filename() ? path : path.parent_path();  // "out/" -> "out"
}

std::unique_ptr<DatasetWriter> open_destination(const std::string& dest,
                                                std::optional<int64_t> shard_size) {
  const fs::path path = destination_path(dest);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error)
    throw Error("cannot create the folder '" + path.parent_path().string() +
                "': " + error.message());
  if (shard_size) return std::make_unique<ShardDestination>(path, *shard_size);
  if (is_zip_name(dest)) return std::make_unique<ZipDestination>(path);
  if (is_tar_name(dest)) return std::make_unique<TarDestination>(path);
  return std::make_unique<FolderDestination>(path);
}

std::string dataset_name(int64_t index, const std::string& stem, const std::string& extension) {
  char digits[32];
  std::snprintf(digits, sizeof(digits), "%08lld", static_cast<long long>(index));
  return std::string(digits, 5) + "/" + stem + digits + extension;
}

}  // namespace edm2
