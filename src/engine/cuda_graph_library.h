// What the program and its library edm2_cuda_graph say to each other.
#pragma once

namespace edm2 {

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
