// One picture with many pictures.
#pragma once

#include "edm2/core/tensor.h"
#include "edm2/io/image.h"

namespace edm2 {

/// `count` pictures of one size, row by row, two pixels apart on white; missing ones stay white.
class ContactSheet {
 public:
  /// count >= 1; columns 0: about square.
  ContactSheet(int64_t count, int64_t columns);

  /// The next pictures: [N,3,H,W] uint8.
  void add(const Tensor& images);
  /// What has been added so far, at least one picture.
  Image image() const;

 private:
  int64_t count_, columns_, filled_ = 0;
  Tensor sheet_;  // [3, rows, columns] of pixels
};

}  // namespace edm2
