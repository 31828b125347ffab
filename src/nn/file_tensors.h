// Tensors that are still in their file, read when they are needed.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "edm2/core/platform.h"
#include "edm2/core/tensor.h"

namespace edm2 {

/// Whether all of the tensor's memory is among these bytes.
bool lies_in(const Tensor& tensor, std::span<const std::byte> contents);

/// Remembers where in a file tensors lie. They have no numbers meanwhile: they are on the meta
/// device, with their shapes and types.
class FileTensors {
 public:
  /// Those of `tensors` that lie in the contents of the file, which is mapped, lose their numbers;
  /// others stay as they are. Returns nothing, with nothing changed, if a tensor has strides or
  /// tensors share what the file has once.
  static std::optional<FileTensors> leave(StateDict& tensors, std::span<const std::byte> contents,
                                          RandomAccessFile file);

  /// A tensor of these, which was left, with its numbers and memory of its own. Several threads may
  /// call it at once. Throws Error if the file has become shorter or cannot be read.
  Tensor read(size_t index, const Tensor& left) const;

  /// Reads all that are left at once, with all threads; what a tensor takes is free for others as
  /// soon as it is gone. Throws Error.
  void read_all(StateDict& tensors) const;

 private:
  explicit FileTensors(RandomAccessFile file) : file_(std::move(file)) {}

  RandomAccessFile file_;
  std::vector<size_t> offsets_;  // in the file; of those that were not left it means nothing
};

}  // namespace edm2
