#include "data/picture_source.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "data/foreign_files.h"
#include "data/shard_archive.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/data/file_source.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "io/foreign_content.h"
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
    add_note(system_files_note(source_->system_files()));
    if (content != SourceContent::latents) add_note(unread_pictures_note(source_->names()));
    if (items_.empty()) instead_ = what_is_instead(source_->names(), path_);
  }
  std::string kind() const override { return kind_; }
  std::vector<std::byte> read(size_t index) const override {
    return source_->read(items_.at(index).name);
  }

 protected:
  void read_own_labels(const SourceOptions&) override {
    take_labels(labels_from_file(*source_, path_, names_of(items_)));
  }

 private:
  std::unique_ptr<FileSource> source_;
  std::string kind_, path_;
};

std::unique_ptr<PictureSource> open_folder_source(const SourceOptions& options) {
  if (auto special = open_special_folder(options)) return special;
  auto pictures =
      std::make_unique<FilePictures>(open_folder(options.path, /*follow_folder_links=*/true),
                                     "folder", options.content, options.path);
  pictures->add_note(archives_note(options.path));
  return pictures;
}

/// CIFAR's archive, or a shard.
std::unique_ptr<PictureSource> open_packed_tar(const SourceOptions& options) {
  {
    const auto bytes = UnpackedFiles().get(options.path);
    check_unpacked_tar(*bytes, options.path);
    if (auto cifar = open_cifar(*bytes, options)) return cifar;
  }
  auto shard = open_tar_shards({options.path}, options);
  if (shard->items().empty())
    throw Error("'" + options.path +
                "' is a gzip file that holds neither CIFAR nor MNIST nor pictures");
  return shard;
}

}  // namespace

std::unique_ptr<PictureSource> open_unlabelled_source(const SourceOptions& options) {
  const std::string& path = options.path;
  if (fs::is_directory(path)) return open_folder_source(options);
  if (!fs::is_regular_file(path)) {
    if (is_pattern(path)) {
      std::vector<std::string> shards = expand_pattern(path);
      const std::string note = take_copies(shards);
      auto source = open_tar_shards(shards, options);
      source->add_note(note);
      return source;
    }
    throw Error("Missing input file or directory: " + path);
  }
  if (lower_extension(path) == ".zip" || is_zip_file(path))
    return std::make_unique<FilePictures>(open_zip(path), "zip", options.content, path);
  if (auto mnist = open_mnist(options)) return mnist;
  if (is_gzip_file(path)) return open_packed_tar(options);
  if (path.ends_with(".tar") || is_tar_file(path)) {
    const MappedFile file(path);
    if (auto cifar = open_cifar(file.bytes(), options)) return cifar;
    return open_tar_shards({path}, options);
  }
  throw Error("Only zip archives are supported: " + path +
              " (or folders, tar shards, and the archives of CIFAR and MNIST)" +
              in_brackets(describe_file(path)));
}

namespace {

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

std::vector<std::byte> PictureSource::read(size_t index) const {
  throw Error("'" + items_.at(index).name + "' is not a file of its own");
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
  auto source = open_unlabelled_source(options);
  if (!options.image_key.empty() && source->kind() != "tar")
    throw UsageError("--image-key chooses among the pictures of a sample in tar shards, and '" +
                     options.path + "' is something else (" + source->kind() + ")");
  apply_labels(*source, options);
  return source;
}

}  // namespace edm2
