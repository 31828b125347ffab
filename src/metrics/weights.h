// Tensors of detectors, whatever file they come in.
#pragma once

#include <filesystem>
#include <string>

#include "edm2/core/tensor.h"

namespace edm2 {

/// All tensors of a state dict or module in a torch file (TorchScript included), a pickle or a
/// safetensors file, in the order of the file. Names are the paths of attributes
/// ("layers.conv.weight"). Nothing in the file is executed. Throws Error naming the file.
StateDict read_weights(const std::filesystem::path& path);

/// Takes `prefix` off the names that have it.
void strip_prefix(StateDict& state, const std::string& prefix);

/// The tensor of that name, of that shape, as contiguous float32. Throws Error naming it.
Tensor require_tensor(const StateDict& state, const std::string& name, at::IntArrayRef shape);

}  // namespace edm2
