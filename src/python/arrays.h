/// Tensors to DLPack and back, sharing memory.
#pragma once

#include "edm2/core/tensor.h"
#include "python/bridge.h"

namespace edm2::python {

/// Lets go of an array that nobody took.
void release_array(DLManagedTensor* array);

/// The same memory, kept alive by the array; null for an undefined tensor.
Array to_array(const Tensor& tensor);
NamedArrays to_arrays(const StateDict& tensors);
/// The same memory, kept alive by the tensor; undefined for null. Throws Error if libtorch does not
/// know the type or the device.
Tensor to_tensor(Array array);
StateDict to_tensors(NamedArrays arrays);

}  // namespace edm2::python
