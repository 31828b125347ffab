/// The folders at the top of a dataset as classes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edm2 {

struct FolderClasses {
  std::vector<std::string> folders;  ///< sorted; '' for files at the root
  std::vector<int64_t> class_of;     ///< of each name: the place of its folder
};

/// The separator is '/', or '\\' where no name has a '/'.
FolderClasses classes_of_folders(std::span<const std::string_view> names);

}  // namespace edm2
