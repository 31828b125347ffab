#include "edm2/core/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

#include <charconv>
#include <cstdlib>
#include <optional>

#include "core/peak_memory.h"
#include "edm2/core/cpu.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

// Why CUDA cannot be used on this machine, or none if it can. The answer never changes, so it is
// found once. libtorch's CUDA half is loaded here and not linked, so that the program starts where
// it is missing; it must be loaded before the first question about CUDA, because ATen remembers
// the hooks that it finds then.
std::optional<std::string> find_cuda_problem() {
  // The driver is a small library: without it there is no need to load a very large one.
  if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_GLOBAL) == nullptr)
    return std::string("there is no NVIDIA driver (") + dlerror() + ")";
  if (dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_GLOBAL) == nullptr)
    return std::string("libtorch's CUDA library cannot be loaded (") + dlerror() + ")";
  if (!at::globalContext().hasCUDA()) return "libtorch finds no CUDA device";
  if (at::detail::getCUDAHooks().deviceCount() == 0) return "there is no CUDA device";
  return std::nullopt;
}

const std::optional<std::string>& cuda_problem() {
  static const std::optional<std::string> problem = find_cuda_problem();
  return problem;
}

c10::Device select_cuda(int index) {
  if (const auto& problem = cuda_problem())
    throw Error("CUDA cannot be used: " + *problem + "; use --device=cpu");
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (index >= count)
    throw Error("there is no device cuda:" + std::to_string(index) + ", this machine has " +
                std::to_string(count) + " CUDA device(s), counted from 0");
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

}  // namespace

c10::Device select_device(const std::string& name, int index) {
  if (name == "cpu") return c10::kCPU;
  if (name == "cuda") return select_cuda(index);
  if (name == "auto") return cuda_problem() ? c10::Device(c10::kCPU) : select_cuda(index);
  if (name.starts_with("cuda:")) {
    int number = -1;
    const char* end = name.data() + name.size();
    const auto [parsed, error] = std::from_chars(name.data() + 5, end, number);
    if (error == std::errc() && parsed == end && number >= 0 && number <= 127)
      return select_cuda(number);
  }
  throw UsageError("Invalid value for '--device': '" + name +
                   "' is not one of 'auto', 'cpu', 'cuda', 'cuda:N'.");
}

void make_matrix_products_reproducible() { setenv("MKL_CBWR", "AUTO,STRICT", /*overwrite=*/0); }

std::string precision_name(Precision precision) {
  constexpr const char* names[] = {"auto", "fp32", "bf16", "fp16"};
  return names[static_cast<size_t>(precision)];
}

Precision parse_precision(const std::string& name) {
  for (const auto precision :
       {Precision::automatic, Precision::fp32, Precision::bf16, Precision::fp16})
    if (precision_name(precision) == name) return precision;
  throw UsageError("'" + name + "' is not one of 'auto', 'fp32', 'bf16', 'fp16'.");
}

std::string precision_name(c10::ScalarType activations) {
  if (activations == c10::kHalf) return "fp16";
  return activations == c10::kBFloat16 ? "bf16" : "fp32";
}

c10::ScalarType activation_dtype(Precision precision, bool use_fp16, const c10::Device& device) {
  switch (precision) {
    case Precision::fp32:
      return c10::kFloat;
    case Precision::bf16:
      return c10::kBFloat16;
    case Precision::fp16:
      return c10::kHalf;
    case Precision::automatic:
      break;
  }
  return use_fp16 && device.is_cuda() ? c10::kHalf : c10::kFloat;
}

bool cpu_has_bf16() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

std::string describe_libtorch() { return "libtorch " EDM2_LIBTORCH_VERSION; }

std::string describe_cpu() {
  std::string features;
#if defined(__x86_64__) && defined(__GNUC__)
#define EDM2_ADD_FEATURE(name) \
  if (__builtin_cpu_supports(name)) features += std::string(features.empty() ? "" : " ") + name
  EDM2_ADD_FEATURE("avx2");
  EDM2_ADD_FEATURE("fma");
  EDM2_ADD_FEATURE("avx512f");
  EDM2_ADD_FEATURE("avx512bw");
  EDM2_ADD_FEATURE("avx512dq");
  EDM2_ADD_FEATURE("avx512vl");
  EDM2_ADD_FEATURE("avx512vnni");
  EDM2_ADD_FEATURE("avx512bf16");
#undef EDM2_ADD_FEATURE
#endif
  std::string text = at::get_cpu_capability();
  if (!features.empty()) text += " (" + features + ")";
  text += ", kernels for " + cpu_level_name(cpu_level());
  const int threads = at::get_num_threads();
  return text + ", " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

namespace {
// Nothing has been allocated on a device that is not in use, and asking would start it up.
c10::DeviceAllocator* allocator_in_use(const c10::Device& device) {
  if (device.is_cpu() || cuda_problem()) return nullptr;
  auto* allocator = c10::getDeviceAllocator(device.type());
  return allocator != nullptr && allocator->initialized() ? allocator : nullptr;
}

c10::DeviceIndex index_of(const c10::Device& device) {
  return device.has_index() ? device.index() : c10::DeviceIndex{0};
}
}  // namespace

DeviceMemory peak_device_memory(const c10::Device& device) {
  DeviceMemory memory;
  if (auto* allocator = allocator_in_use(device)) {
    const auto stats = allocator->getDeviceStats(index_of(device));
    const auto aggregate = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    memory.peak_allocated = static_cast<double>(stats.allocated_bytes[aggregate].peak);
    memory.peak_reserved = static_cast<double>(stats.reserved_bytes[aggregate].peak);
  }
  return memory;
}

void reset_peak_device_memory(const c10::Device& device) {
  if (auto* allocator = allocator_in_use(device)) allocator->resetPeakStats(index_of(device));
}

double peak_memory(const c10::Device& device) {
  if (device.is_cuda()) return peak_device_memory(device).peak_allocated;
  return static_cast<double>(own_memory().peak);
}

void reset_peak_memory(const c10::Device& device) {
  release_freed_memory();
  reset_own_peak_memory();
  reset_peak_device_memory(device);
}

double free_device_memory(const c10::Device& device) {
  auto* allocator = allocator_in_use(device);
  return allocator ? static_cast<double>(allocator->getMemoryInfo(index_of(device)).first) : 0;
}

}  // namespace edm2
