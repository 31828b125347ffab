// A library of its own, loaded where CUDA tensors are summed over processes (see nccl_loader.cpp).
// Its undefined symbols are those of libtorch's CUDA library, which is loaded before it.
#include <chrono>
#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

/// A new reference to a backend; errors are thrown. The caller has chosen the device of this
/// process, and the store is of this group alone.
extern "C" __attribute__((visibility("default"))) c10d::Backend* edm2_make_nccl_backend(
    const c10::intrusive_ptr<c10d::Store>* store, int rank, int size, int device) {
  // GroupWatch notices what goes wrong, names the process, and ends this one in good order; the
  // watchdog of libtorch would abort it.
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", /*overwrite=*/0);
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", /*overwrite=*/0);
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = std::chrono::hours(24 * 365);
  auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(*store, rank, size, options);
  backend->setBoundDeviceId(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(device)));
  return backend.release();
}
