/// numpy's files: .npy (one array) and .npz (named arrays in a zip archive).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/io/array_stream.h"
#include "edm2/io/zip.h"

namespace edm2 {

/// The array in the bytes of an .npy file (format versions 1 to 3), little-endian or one byte wide:
/// f2 f4 f8 i1 i2 i4 i8 u1 b1, and u2, u4, u8 widened to int32, int64, int64. Any number of axes, C
/// or Fortran order; the result is contiguous and owns its memory. `name` is for messages.
/// Throws Error: not an .npy file, truncated, another element type, a u8 value above 2^63 - 1.
Tensor read_npy(std::span<const std::byte> bytes, const std::string& name = "the .npy data");

/// What such bytes, or the beginning of them, say of the array.
struct NpyOutline {
  c10::ScalarType type;  ///< of read_npy's result
  std::vector<int64_t> shape;
};
/// Throws Error as read_npy does where the header is wrong or does not lie within the bytes.
NpyOutline outline_npy(std::span<const std::byte> beginning, const std::string& name);

/// The strings of an .npy file of type '<U...' (any shape, C order).
std::vector<std::string> read_npy_strings(std::span<const std::byte> bytes,
                                          const std::string& name = "the .npy data");

/// The bytes of an .npy file (version 1.0) with the tensor's values in C order, any shape. Types:
/// float16/32/64, int8/16/32/64, uint8, bool.
std::string npy_bytes(const Tensor& tensor);

/// An .npz file; arrays are parsed when asked for, so an odd one does not spoil the others.
class NpzFile {
 public:
  /// Throws Error if the file cannot be opened or is not a zip archive.
  explicit NpzFile(const std::filesystem::path& path) : zip_(path) {}

  /// Names without ".npy", in the order of the file.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return zip_.contains(name + ".npy"); }
  /// The array of that name and its shape (as read_npy). Throws Error naming file and array.
  Tensor get(const std::string& name) const;
  /// The string array of that name.
  std::vector<std::string> get_strings(const std::string& name) const;

 private:
  std::string label(const std::string& name) const;

  ZipReader zip_;
};

/// Writes the arrays, of any shapes, in this order, uncompressed, atomically.
void write_npz(const std::filesystem::path& path,
               const std::vector<std::pair<std::string, Tensor>>& arrays);

/// Begins an .npz file of arrays that grow row by row, in memory that does not depend on their
/// length.
std::unique_ptr<ArrayStream> stream_npz(const std::filesystem::path& path,
                                        const std::vector<ArraySpec>& arrays);

}  // namespace edm2
