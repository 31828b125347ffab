// CUDA graphs: work for the GPU that is recorded once and then started as a whole.
#pragma once

#include <c10/core/Device.h>

#include <functional>

namespace edm2 {

/// Does work that was recorded again, on the same memory, in libtorch's current stream.
using RecordedWork = std::function<void()>;

/// Calls work(), whose operators are recorded, not done; none comes back where that is impossible.
/// What the work reads must stay where it is, with other contents, and so must what it writes to.
using WorkRecorder = std::function<RecordedWork(const std::function<void()>& work)>;

/// Of the library edm2_cuda_graph; none if it cannot be loaded. libtorch's CUDA library must have
/// been.
WorkRecorder cuda_graph_recorder(c10::Device device);

/// What the program and that library say to each other.
struct CudaGraphLibrary {
  static constexpr int current_version = 1;

  /// Calls work(context) while the operators of this thread are recorded on that device. Null if
  /// something in it cannot be recorded; the device works on as before.
  void* (*record)(void (*work)(const void*), const void* context, int device);
  /// In libtorch's current stream.
  void (*replay)(void* graph);
  void (*destroy)(void* graph);
};

}  // namespace edm2
