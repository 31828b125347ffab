#include "core/nccl_loader.h"

#include "core/side_library.h"
#include "edm2/core/error.h"

namespace edm2 {
namespace {

using MakeBackend = c10d::Backend* (*)(const c10::intrusive_ptr<c10d::Store>*, int, int, int);

MakeBackend maker() {
  // Of src/core/nccl/nccl_backend.cpp. Its symbols are those of libtorch's CUDA library, which must
  // have been loaded.
  static const auto found = reinterpret_cast<MakeBackend>(
      find_in_side_library("libedm2_nccl.so", "edm2_make_nccl_backend"));
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
