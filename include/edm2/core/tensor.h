/// The tensor type of the library, and the two containers in which weights travel.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace edm2 {

using at::Tensor;

/// Names and tensors in the network's own order (parameters and buffers as in Python's state_dict).
using StateDict = std::vector<std::pair<std::string, Tensor>>;

/// The tensor of that name, of whatever shape, or an undefined tensor.
inline Tensor find_tensor(const StateDict& state, const std::string& name) {
  for (const auto& [key, tensor] : state)
    if (key == name) return tensor;
  return {};
}

}  // namespace edm2
