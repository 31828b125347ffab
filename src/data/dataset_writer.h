// The destination of a conversion: a zip archive, a folder or tar shards that appear complete or
// not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/label_file.h"

namespace edm2 {

class DatasetWriter {
 public:
  virtual ~DatasetWriter() = default;
  /// The next item; `name` with '/'. A null label: none.
  virtual void add(const std::string& name, std::span<const std::byte> contents,
                   const Label& label) = 0;
  /// Names of the classes, in the order of their numbers. In zip archives they stand in the comment
  /// of the archive, a JSON object; other datasets of the original's layout have no place for them.
  virtual void name_classes(const std::vector<std::string>& /*names*/) {}
  /// Writes the labels (those of all items, or null if one has none) and makes the result appear
  /// under its name. Without it nothing stays behind. `more`: further keys of dataset.json.
  virtual void finish(const nlohmann::ordered_json& more = {}) = 0;
};

/// A name that ends with ".zip" / ".tar" (in this case) means an archive.
bool is_zip_name(const std::string& path);
bool is_tar_name(const std::string& path);

/// Throws Error if `dest` is empty or a folder with something in it. Creates nothing.
void check_destination(const std::string& dest);

/// Without a slash at the end, absolute.
std::filesystem::path destination_path(const std::string& dest);

/// Creates the folders above the destination and begins writing. `shard_size`: a folder of tar
/// shards with so many items each; in tars the labels stand beside the items (.cls, .json).
std::unique_ptr<DatasetWriter> open_destination(const std::string& dest,
                                                std::optional<int64_t> shard_size = {});

/// 12345 -> "00012/img00012345.png" with stem "img" and extension ".png".
std::string dataset_name(int64_t index, const std::string& stem, const std::string& extension);

}  // namespace edm2
