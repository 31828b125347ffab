// Work on a dataset that may be interrupted: its items wait in a folder beside the destination.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/dataset_writer.h"

namespace edm2 {

/// The folder DEST.partial with one file for each finished item. Several processes may put items
/// into it. It stays when the work breaks off and goes with finish().
class PartialDataset {
 public:
  /// `work` says what is being made of what; an unfinished folder of other work is an Error.
  PartialDataset(const std::string& dest, const nlohmann::json& work);

  const std::filesystem::path& folder() const { return folder_; }
  /// The item has been put, and `valid` holds for its contents; otherwise it is removed.
  bool has(const std::string& name,
           const std::function<bool(std::span<const std::byte>)>& valid) const;
  /// Appears whole or not at all.
  void put(const std::string& name, std::span<const std::byte> contents) const;
  std::vector<std::byte> get(const std::string& name) const;

  /// Makes the destination of the items, in this order, and removes the folder. `look` sees the
  /// contents of each one before; what `more` returns then goes into dataset.json.
  void finish(const LabelList& items, const std::function<void(std::span<const std::byte>)>& look,
              const std::function<nlohmann::ordered_json()>& more) const;

 private:
  std::string dest_;
  std::filesystem::path folder_;
};

}  // namespace edm2
