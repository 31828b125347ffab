// A library of its own, loaded where a network is computed on CUDA (see cuda_graph.cpp). Its
// undefined symbols are those of libtorch's CUDA library, which is loaded before it.
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <memory>

#include "engine/cuda_graph.h"

namespace edm2 {
namespace {

void* record(void (*work)(const void*), const void* context, int device) {
  const auto index = static_cast<c10::DeviceIndex>(device);
  const c10::cuda::CUDAGuard on_device(index);
  c10::cuda::device_synchronize();
  // The default stream cannot be recorded.
  const c10::cuda::CUDAStreamGuard on_stream(
      c10::cuda::getStreamFromPool(/*isHighPriority=*/false, index));
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  bool recording = false;
  try {
    // Other threads go on using the device meanwhile.
    graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    recording = true;
    work(context);
    recording = false;
    graph->capture_end();
    return graph.release();
  } catch (const c10::Error&) {
    try {
      if (recording) graph->capture_end();
    } catch (const c10::Error&) {  // it says again what went wrong
    }
    (void)cudaGetLastError();
    return nullptr;
  }
}

void replay(void* graph) { static_cast<at::cuda::CUDAGraph*>(graph)->replay(); }

void destroy(void* graph) { delete static_cast<at::cuda::CUDAGraph*>(graph); }

constexpr CudaGraphLibrary library = {record, replay, destroy};

}  // namespace
}  // namespace edm2

/// What the program asks for; null if it was built for another struct.
extern "C" __attribute__((visibility("default"))) const edm2::CudaGraphLibrary*
edm2_cuda_graph_library(int version) {
  return version == edm2::CudaGraphLibrary::current_version ? &edm2::library : nullptr;
}
