#include "data/folder_classes.h"

#include <algorithm>
#include <map>

namespace edm2 {

FolderClasses classes_of_folders(std::span<const std::string_view> names) {
  const bool slashes = std::any_of(names.begin(), names.end(), [](std::string_view name) {
    return name.find('/') != std::string_view::npos;
  });
  const auto folder_of = [&](std::string_view name) {
    const size_t end = name.find(slashes ? '/' : '\\');
    return end == std::string_view::npos ? std::string_view() : name.substr(0, end);
  };
  std::map<std::string_view, int64_t> ranks;
  for (const auto name : names) ranks[folder_of(name)] = 0;
  FolderClasses classes;
  for (auto& [folder, rank] : ranks) {
    rank = static_cast<int64_t>(classes.folders.size());
    classes.folders.emplace_back(folder);
  }
  for (const auto name : names) classes.class_of.push_back(ranks.at(folder_of(name)));
  return classes;
}

}  // namespace edm2
