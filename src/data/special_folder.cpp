// Folders that hold a dataset in a layout of its own: tar shards, CIFAR, MNIST.
#include <algorithm>
#include <filesystem>

#include "data/foreign_files.h"
#include "data/picture_source.h"
#include "data/shard_archive.h"
#include "edm2/core/error.h"
#include "edm2/data/file_source.h"
#include "io/system_files.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// Tar archives at the top of the folder, sorted.
std::vector<std::string> archives_in(const fs::path& folder) {
  std::vector<std::string> archives;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (has_tar_extension(name) && !is_system_file(name) && !entry.is_directory(ignored))
      archives.push_back(entry.path().string());
  }
  std::sort(archives.begin(), archives.end());
  return archives;
}

/// A folder whose archives hold more pictures than lie beside them is one of shards: what lies
/// beside is a preview.
std::unique_ptr<PictureSource> open_shards_of_folder(const SourceOptions& options) {
  auto archives = archives_in(options.path);
  if (archives.empty()) return nullptr;
  const std::string copies = take_copies(archives);
  const auto folder = open_folder(options.path, /*follow_folder_links=*/true);
  // Pictures (or latents) that lie in the folder as files of their own.
  std::vector<std::string> loose;
  for (const std::string& name : folder->names())
    if (is_wanted(name, options.content)) loose.push_back(name);
  const auto add_notes = [&](PictureSource& source) {
    source.add_note(copies);
    source.add_note(system_files_note(folder->system_files()));
    source.add_note(unread_pictures_note(folder->names()));
  };
  std::unique_ptr<PictureSource> shards;
  if (archives.size() == 1 && loose.empty()) {
    SourceOptions alone = options;  // it may be that of CIFAR
    alone.path = archives.front();
    shards = open_unlabelled_source(alone);
    add_notes(*shards);
    return shards;
  }
  try {
    shards = open_tar_shards(archives, options);
  } catch (const Error&) {
    if (loose.size() < archives.size()) throw;
    return nullptr;
  }
  if (shards->items().size() <= loose.size()) return nullptr;
  add_notes(*shards);
  shards->add_note(
      passed_over_note(loose, "picture beside the tar shards", "pictures beside the tar shards"));
  return shards;
}

}  // namespace

std::unique_ptr<PictureSource> open_special_folder(const SourceOptions& options) {
  if (auto mnist = open_mnist(options)) return mnist;
  if (auto cifar = open_cifar_folder(options)) return cifar;
  return open_shards_of_folder(options);
}

std::string archives_note(const std::string& folder) {
  auto archives = archives_in(folder);
  for (std::string& path : archives) path = fs::path(path).filename().string();
  return passed_over_note(archives, "tar archive among the pictures",
                          "tar archives among the pictures");
}

}  // namespace edm2
