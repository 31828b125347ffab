/// Choosing where and in which precision to compute.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

namespace edm2 {

/// "auto" (CUDA if usable, else CPU), "cpu", "cuda" or "cuda:N". Loads libtorch's CUDA library on
/// demand. `index` is the device that "auto" and "cuda" mean: the process's place among those of
/// its machine. Throws UsageError on other text, Error if CUDA is asked for and cannot be used.
c10::Device select_device(const std::string& name, int index = 0);

/// From now on matrix products on the CPU round the same whatever the number of threads (MKL's
/// strict mode, unless MKL_CBWR in the environment says something else), so that many processes
/// with few threads each draw the same pictures as one. Call it once, at the start of a program,
/// before the first product.
void make_matrix_products_reproducible();

/// Data type of the network's activations.
enum class Precision {
  automatic,  ///< what the original does: float16 on CUDA if the network says use_fp16, else
              ///< float32
  fp32,
  bf16,
  fp16,
};

/// "auto", "fp32", "bf16" or "fp16".
std::string precision_name(Precision precision);
/// Of activations of that type: "fp32", "bf16" or "fp16".
std::string precision_name(c10::ScalarType activations);
/// The precision of that name; throws UsageError otherwise.
Precision parse_precision(const std::string& name);

/// The activation type that `precision` means for a network on that device.
c10::ScalarType activation_dtype(Precision precision, bool use_fp16, const c10::Device& device);

/// The processor has instructions for bfloat16, with which networks are faster than in float32.
bool cpu_has_bf16();

/// What `edm2 --version` says of this machine: libtorch version and CPU capability.
std::string describe_libtorch();
std::string describe_cpu();

/// Peak memory that libtorch allocated and reserved on a CUDA device since the last reset, in
/// bytes; 0 on the CPU.
struct DeviceMemory {
  double peak_allocated = 0;
  double peak_reserved = 0;
};
/// Zeros on the CPU.
DeviceMemory peak_device_memory(const c10::Device& device);
/// Does nothing on the CPU.
void reset_peak_device_memory(const c10::Device& device);
/// Free memory of a CUDA device that is in use, in bytes; 0 on the CPU.
double free_device_memory(const c10::Device& device);

}  // namespace edm2
