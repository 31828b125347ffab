// NCCL, where the program was built with it, behind a library that is loaded on demand.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace edm2 {

/// Whether make_nccl_backend() can work: the library is there and loads. Call it after
/// select_device() has chosen a CUDA device.
bool nccl_is_there();

/// `store`: of this group alone. Throws Error if nccl_is_there() is false, c10::Error.
c10::intrusive_ptr<c10d::Backend> make_nccl_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                    int rank, int size, int device);

}  // namespace edm2
