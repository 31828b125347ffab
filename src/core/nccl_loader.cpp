#include "core/nccl_loader.h"

#include <dlfcn.h>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

using MakeBackend = c10d::Backend* (*)(const c10::intrusive_ptr<c10d::Store>*, int, int, int);

/// In src/core/nccl/nccl_backend.cpp; null if the library is missing. It lies beside the program,
/// in lib/ of the same prefix, or where the system looks for libraries.
MakeBackend find_maker() {
  constexpr const char* name = "libedm2_nccl.so";
  const auto folder = executable_path().parent_path();
  for (const auto& path : {folder / name, folder.parent_path() / "lib" / name, {name}}) {
    // Symbols of libtorch's CUDA library are found when they are used, so that must be loaded.
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) continue;
    if (void* symbol = dlsym(library, "edm2_make_nccl_backend"))
      return reinterpret_cast<MakeBackend>(symbol);
  }
  return nullptr;
}

MakeBackend maker() {
  static const MakeBackend found = find_maker();
  return found;
}

}  // namespace

bool nccl_is_there() { return maker() != nullptr; }

c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank, int size, int device) {
  if (!nccl_is_there()) throw Error("the library libedm2_nccl.so cannot be loaded");
  return c10::intrusive_ptr<c10d::Backend>::reclaim(maker()(&store, rank, size, device));
}

}  // namespace edm2
