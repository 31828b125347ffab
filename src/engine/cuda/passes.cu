// The passes as CUDA kernels: a warp for each item of work.
#include <cuda_fp16.h>

#include <algorithm>

#include "engine/cuda_passes.h"

namespace edm2::cuda_passes {

template <>
struct Number<__half> {
  static EDM2_ANYWHERE float read(__half x) { return __half2float(x); }
  static EDM2_ANYWHERE __half round(float x) { return __float2half_rn(x); }
};

namespace {

constexpr int warp_size = 32, warps_per_block = 8;

struct Warp {
  __device__ int64_t rank() const { return threadIdx.x; }
  __device__ int64_t size() const { return warp_size; }
  __device__ float sum(float x) const {
    // All threads get the same bits: each adds the same pairs, in either order.
    for (int distance = warp_size / 2; distance > 0; distance /= 2)
      x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
  }
};

template <class T, int Width, class Pass>
__global__ void __launch_bounds__(warp_size* warps_per_block) kernel(Pass pass, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * warps_per_block;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * warps_per_block + threadIdx.y;
       item < count; item += step)
    apply<T, Width>(pass, item, Warp{});
}

template <class Pass>
struct Launch {
  const Pass& pass;
  cudaStream_t stream;

  template <class T, int Width>
  void operator()() const {
    const int64_t count = items(pass);
    if (count == 0) return;
    constexpr int64_t most_blocks = 1 << 20;
    const int64_t blocks = std::min((count - 1) / warps_per_block + 1, most_blocks);
    kernel<T, Width>
        <<<static_cast<unsigned>(blocks), dim3(warp_size, warps_per_block), 0, stream>>>(pass,
                                                                                         count);
  }
};

struct OnGpu {
  template <class Pass>
  static void run(const Pass& pass, ElementType type, void* stream) {
    with_type<__half>(pass, type, Launch<Pass>{pass, static_cast<cudaStream_t>(stream)});
  }
};

constexpr Passes passes = make_passes<OnGpu>();

}  // namespace
}  // namespace edm2::cuda_passes

/// What the program asks for; null if it was built for other structs. Errors of a launch show up in
/// libtorch's next question to the device.
extern "C" __attribute__((visibility("default"))) const edm2::cuda_passes::Passes* edm2_cuda_passes(
    int version) {
  return version == edm2::cuda_passes::passes_version ? &edm2::cuda_passes::passes : nullptr;
}
