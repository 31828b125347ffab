#include "python/arrays.h"

#include <ATen/DLConvertor.h>
#include <c10/util/Exception.h>

#include "edm2/core/error.h"

namespace edm2::python {

void release_array(DLManagedTensor* array) {
  if (array->deleter != nullptr) array->deleter(array);
}

Array to_array(const Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  return Array(at::toDLPack(tensor.detach()), ArrayDeleter{release_array});
}

NamedArrays to_arrays(const StateDict& tensors) {
  NamedArrays arrays;
  for (const auto& [name, tensor] : tensors) arrays.emplace_back(name, to_array(tensor));
  return arrays;
}

Tensor to_tensor(Array array) {
  if (!array) return {};
  try {
    Tensor tensor = at::fromDLPack(array.get());
    array.release();  // the tensor's now
    return tensor;
  } catch (const c10::Error& error) {
    throw Error(std::string("an array cannot be used: ") + error.what_without_backtrace());
  }
}

StateDict to_tensors(NamedArrays arrays) {
  StateDict tensors;
  for (auto& [name, array] : arrays) tensors.emplace_back(name, to_tensor(std::move(array)));
  return tensors;
}

}  // namespace edm2::python
