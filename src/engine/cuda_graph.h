// CUDA graphs: work for the GPU that is recorded once and then started as a whole.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace edm2 {

/// Work that was recorded.
class RecordedWork {
 public:
  virtual ~RecordedWork() = default;
  /// Does the work again, on the same memory, in libtorch's current stream.
  virtual void replay() = 0;
};

/// Records work. What it reads must stay where it is, with other contents, and so must what it
/// writes to.
class WorkRecorder {
 public:
  virtual ~WorkRecorder() = default;
  /// Calls work(), whose operators are recorded, not done. Null where that is impossible.
  virtual std::unique_ptr<RecordedWork> record(const std::function<void()>& work) = 0;
};

/// Of the library edm2_cuda_graph; null if it cannot be loaded. libtorch's CUDA library must have
/// been.
std::unique_ptr<WorkRecorder> cuda_graph_recorder(c10::Device device);

}  // namespace edm2
