#include "data/picture_source.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/data/file_source.h"
#include "edm2/io/gzip.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "io/system_files.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// The files of a folder or a zip archive, in the order of their names.
class FilePictures : public PictureSource {
 public:
  FilePictures(std::unique_ptr<FileSource> source, std::string kind, SourceContent content,
               std::string path)
      : source_(std::move(source)), kind_(std::move(kind)), path_(std::move(path)) {
    refused_ = source_->problems();
    std::unordered_set<std::string> refused_names;
    for (const FileProblem& problem : refused_) refused_names.insert(problem.name);
    for (const std::string& name : source_->names())
      if (is_wanted(name, content) && !refused_names.contains(name))
        items_.push_back({name, nullptr});
    if (const std::string note = system_files_note(source_->system_files()); !note.empty())
      notes_.push_back(note);
  }
  std::string kind() const override { return kind_; }
  std::vector<std::byte> read(size_t index) const override {
    return source_->read(items_.at(index).name);
  }

 protected:
  void read_own_labels(const SourceOptions&) override {
    std::vector<std::string_view> names;
    for (const Item& item : items_) names.push_back(item.name);
    take_labels(labels_from_file(*source_, path_, names));
  }

 private:
  std::unique_ptr<FileSource> source_;
  std::string kind_, path_;
};

/// Shards in a folder that holds no pictures of its own.
std::vector<std::string> shards_in(const fs::path& folder) {
  std::vector<std::string> shards;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (has_image_extension(name) || entry.is_directory()) return {};
    if (lower_extension(name) == ".tar") shards.push_back(entry.path().string());
  }
  std::sort(shards.begin(), shards.end());
  return shards;
}

std::unique_ptr<PictureSource> open_folder_source(const SourceOptions& options) {
  if (auto mnist = open_mnist(options)) return mnist;
  if (const auto shards = shards_in(options.path); !shards.empty())
    return open_tar_shards(shards, options.content);
  return std::make_unique<FilePictures>(open_folder(options.path, /*follow_folder_links=*/true),
                                        "folder", options.content, options.path);
}

/// A .tar.gz archive in memory.
std::unique_ptr<PictureSource> open_packed_tar(const SourceOptions& options) {
  constexpr uint64_t most_bytes = uint64_t{512} << 20;  // CIFAR's hold 180 MB
  const MappedFile file(options.path);
  const auto bytes = gunzip(
      file.bytes(), std::min(most_bytes, most_unpacked_bytes(file.bytes().size())), options.path);
  if (auto cifar = open_cifar(bytes, options)) return cifar;
  throw Error("'" + options.path +
              "' is a gzip file that holds neither CIFAR nor MNIST; unpack it (gunzip) first");
}

bool is_gzip_file(const std::string& path) {
  std::error_code ignored;
  if (fs::file_size(path, ignored) < 2 || ignored) return false;
  std::byte magic[2];
  RandomAccessFile(path).read_at(0, magic);
  return is_gzip(magic);
}

std::unique_ptr<PictureSource> open_unlabelled(const SourceOptions& options) {
  const std::string& path = options.path;
  if (fs::is_directory(path)) return open_folder_source(options);
  if (!fs::is_regular_file(path)) {
    if (is_pattern(path)) return open_tar_shards(expand_pattern(path), options.content);
    throw Error("Missing input file or directory: " + path);
  }
  if (path.ends_with(".zip") || is_zip_file(path))
    return std::make_unique<FilePictures>(open_zip(path), "zip", options.content, path);
  if (auto mnist = open_mnist(options)) return mnist;
  if (is_gzip_file(path)) return open_packed_tar(options);
  if (path.ends_with(".tar") || is_tar_file(path)) {
    const MappedFile file(path);
    if (auto cifar = open_cifar(file.bytes(), options)) return cifar;
    return open_tar_shards({path}, options.content);
  }
  throw Error("Only zip archives are supported: " + path +
              " (or folders, tar shards, and the archives of CIFAR and MNIST)");
}

/// A name that would leave the folder into which the archive is unpacked.
bool climbs(const std::string& name) {
  if (name.starts_with('/') || name.starts_with('\\') || (name.size() > 1 && name[1] == ':'))
    return true;
  size_t begin = 0;
  while (true) {
    const size_t end = name.find_first_of("/\\", begin);
    if (name.substr(begin, end - begin) == "..") return true;
    if (end == std::string::npos) return false;
    begin = end + 1;
  }
}

}  // namespace

OnError parse_on_error(const std::string& text) {
  if (text == "stop") return OnError::stop;
  if (text == "skip") return OnError::skip;
  throw UsageError("'" + text + "' is not one of 'stop', 'skip'.");
}

Image PictureSource::decode(size_t index, Channels channels) const {
  return decode_picture(read(index), items_.at(index).name, channels);
}

void report_notes(const PictureSource& source, Progress& progress) {
  for (const std::string& note : source.notes()) progress.message("Note: " + note);
}

bool is_wanted(const std::string& name, SourceContent content) {
  const bool latents = lower_extension(name) == ".npy";
  if (latents) return content != SourceContent::pictures;
  return content != SourceContent::latents && has_image_extension(name);
}

void refuse_hostile_names(std::vector<std::string>& names, std::vector<FileProblem>& refused) {
  std::unordered_map<std::string, int> counts;
  for (const std::string& name : names) ++counts[name];
  std::erase_if(names, [&](const std::string& name) {
    int& count = counts[name];
    const bool hostile = climbs(name);
    if (!hostile && count == 1) return false;
    if (count > 0)  // reported once
      refused.push_back(
          {name, hostile ? "its path leads out of the archive"
                         : "the archive has " + std::to_string(count) + " entries of this name"});
    count = 0;
    return true;
  });
}

std::unique_ptr<PictureSource> open_picture_source(const SourceOptions& options) {
  if (options.split != "train" && options.split != "test" && options.split != "all")
    throw UsageError("Invalid value for '--split': '" + options.split +
                     "' is not one of 'train', 'test', 'all'.");
  auto source = open_unlabelled(options);
  apply_labels(*source, options);
  return source;
}

}  // namespace edm2
