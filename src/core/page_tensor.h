// Tensors that are large and stay.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <memory>

#include "edm2/core/platform.h"

namespace edm2 {

/// [size] of uninitialised numbers on the CPU, in huge pages, which go back to the system as soon
/// as the tensor is gone.
inline at::Tensor tensor_in_huge_pages(int64_t size, c10::ScalarType type) {
  const auto memory = std::make_shared<PageMemory>(
      static_cast<size_t>(size) * c10::elementSize(type), PageMemory::Pages::huge);
  return at::from_blob(
      memory->data(), {size}, [memory](void*) {}, type);
}

}  // namespace edm2
