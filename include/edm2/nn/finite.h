/// Weights that are not numbers.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "edm2/core/error.h"
#include "edm2/core/tensor.h"

namespace edm2 {

/// Whether no element of a CPU tensor is NaN or infinite. As quick as the memory gives the
/// elements, where libtorch's operators would make masks of them. True for integers.
bool all_finite(const Tensor& tensor);

/// The same for elements of that type in memory, any number of them.
bool all_finite(std::span<const std::byte> elements, c10::ScalarType type);

/// The name of the first tensor with such an element, or "".
std::string first_not_finite(const StateDict& tensors);

/// A network that has such weights, and could draw nothing but black pictures.
class NotFiniteError : public Error {
 public:
  explicit NotFiniteError(const std::string& tensor);
};

}  // namespace edm2
