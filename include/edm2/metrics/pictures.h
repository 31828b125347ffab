/// The pictures that are measured: of a folder, an archive, an array file, or of anything else that
/// gives them in order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Consecutive pictures of one set.
struct PictureBatch {
  Tensor pixels;  ///< [N,3,H,W] uint8
  /// SHA-256 of each picture's pixels in C order, as hexadecimal digits, one after the other.
  std::string digests;
};

/// What picture_digest() stands for in PictureBatch::digests; picture: [C,H,W] uint8.
std::string picture_digest(const Tensor& picture);

/// Indices [begin, end) of pictures.
struct Part {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// `count` pictures in parts of at most `max_batch_size`, as even as possible, a multiple of
/// `processes` of them (some may be empty): process r takes parts r, r + processes, ... This is how
/// the original divides the work.
std::vector<Part> split_among(int64_t count, int64_t max_batch_size, int processes);

/// Gives pictures part by part.
class PictureStream {
 public:
  virtual ~PictureStream() = default;
  /// The pictures of the next part. Throws Error naming a picture that cannot be read.
  virtual PictureBatch next() = 0;
};

/// Which pictures are measured.
struct PictureSetOptions {
  /// Folder, zip archive, .npz with "arr_0" or .npy: uint8 [N,H,W,3] or [N,3,H,W].
  std::filesystem::path path;
  std::optional<int64_t> max_size = {};  ///< keep that many, chosen by `seed` as the original does
  int64_t seed = 0;
};

/// RGB pictures of one size. May be read by several threads at once.
class PictureSet {
 public:
  virtual ~PictureSet() = default;
  /// Number of pictures.
  virtual int64_t size() const = 0;
  /// [3,H,W] uint8.
  virtual Tensor picture(int64_t index) const = 0;
  /// What the user should know of what was taken for pictures, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }

  /// The parts in this order, decoded ahead by `workers` threads.
  std::unique_ptr<PictureStream> stream(std::vector<Part> parts, int64_t workers) const;

 protected:
  std::vector<std::string> notes_;
};

/// Of a folder or archive not read are what systems leave behind, sheets, strips and animations of
/// 'edm2 generate', and exact copies that are named as such: notes() say so. Throws Error: no such
/// path, no pictures, several sizes, not 3 channels, not uint8, ...
std::unique_ptr<PictureSet> open_pictures(const PictureSetOptions& options);

}  // namespace edm2
