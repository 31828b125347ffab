// One picture with many pictures.
#pragma once

#include "edm2/core/tensor.h"
#include "edm2/io/image.h"

namespace edm2 {

/// Pictures [N,C,H,W] uint8 of 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha) channels ->
/// [N,3,H,W]. What is transparent becomes white. Throws Error for other numbers of channels.
Tensor to_rgb(const Tensor& images);

/// `count` pictures of one size, row by row, two pixels apart on white; missing ones stay white.
class ContactSheet {
 public:
  /// count >= 1; columns 0: about square.
  ContactSheet(int64_t count, int64_t columns);

  /// The next pictures: [N,C,H,W] uint8, C as in to_rgb(), N at most the number of those that are
  /// missing. Throws Error if the sheet would be too large or another picture had another size.
  void add(const Tensor& images);
  /// The same for [N,H,W,3] contiguous on the CPU; makes no tensor operations.
  void add_pixels(const Tensor& pixels);
  /// What has been added so far.
  const Image& image() const { return sheet_; }

 private:
  void begin(int64_t height, int64_t width);

  int64_t count_, columns_, filled_ = 0;
  int64_t height_ = 0, width_ = 0;  // of one picture
  Image sheet_;
};

}  // namespace edm2
