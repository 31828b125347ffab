/// Files of arrays that grow row by row while others do, in bounded memory: .npz and safetensors.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// An array whose whole shape is known before its rows are.
struct ArraySpec {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;

  /// Size of all elements.
  uint64_t bytes() const;
};

/// Made by stream_npz() and stream_safetensors(). The file appears under its name with finish();
/// without it nothing stays behind. At most about 10^18 bytes.
class ArrayStream {
 public:
  virtual ~ArrayStream() = default;
  ArrayStream(const ArrayStream&) = delete;
  ArrayStream& operator=(const ArrayStream&) = delete;

  /// The next rows of an array: [n, ...] with the type and the other sizes of its spec, on any
  /// device. Throws Error if they do not fit or cannot be written.
  void append(const std::string& array, const Tensor& rows);
  /// Throws Error if an array has not got all of its rows.
  void finish();

 protected:
  explicit ArrayStream(std::vector<ArraySpec> arrays);

 private:
  /// Writes bytes of an array `offset` bytes behind its first element.
  virtual void put(size_t array, uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual void close() = 0;

  std::vector<ArraySpec> arrays_;
  std::vector<uint64_t> written_;  // bytes of each
};

}  // namespace edm2
