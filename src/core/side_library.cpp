#include "core/side_library.h"

#include <dlfcn.h>

#include <filesystem>

#include "edm2/core/platform.h"

namespace edm2 {

void* find_in_side_library(const char* library, const char* symbol) {
  const auto folder = executable_path().parent_path();
  for (const std::filesystem::path& path :
       {folder / library, folder.parent_path() / "lib" / library, std::filesystem::path(library)}) {
    void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) continue;
    if (void* const found = dlsym(handle, symbol)) return found;
  }
  return nullptr;
}

}  // namespace edm2
