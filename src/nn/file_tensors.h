// Tensors of a file, read into memory that each of them gives back as it goes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Gives the tensors that lie in the contents of the mapped file memory of their own, by reading
/// the file with all threads: unlike copying them, this leaves no pages of the file in the process,
/// and what a tensor took is free for others as soon as it is gone. Returns false, with nothing
/// changed, if a tensor has strides or tensors share what the file has once. Throws Error.
bool read_out_of_file(StateDict& tensors, std::span<const std::byte> contents,
                      const std::filesystem::path& path);

}  // namespace edm2
