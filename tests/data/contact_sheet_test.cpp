#include "data/contact_sheet.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

Tensor pixels_of(const Image& image) {
  Tensor tensor = at::empty({image.height, image.width, 3}, at::kByte);
  std::memcpy(tensor.data_ptr(), image.pixels.data(), image.pixels.size());
  return tensor.permute({2, 0, 1});
}

}  // namespace

TEST(ContactSheet, RowsOfPicturesWithGaps) {
  const Tensor images = at::randint(0, 256, {5, 3, 4, 6}, at::kByte);
  ContactSheet sheet(6, 3);
  sheet.add(images.narrow(0, 0, 2));
  sheet.add(images.narrow(0, 2, 3));
  const Tensor pixels = pixels_of(sheet.image());
  ASSERT_EQ(pixels.sizes(), at::IntArrayRef({3, 2 * 4 + 6, 3 * 6 + 8}));
  Tensor expected = at::full_like(pixels, 255);
  for (int64_t i = 0; i < 5; ++i)
    expected.narrow(1, 2 + i / 3 * 6, 4).narrow(2, 2 + i % 3 * 8, 6).copy_(images[i]);
  EXPECT_TRUE(pixels.equal(expected));
}

TEST(ContactSheet, AboutSquareAndNeverWiderThanItsPictures) {
  const auto width_of = [](int64_t count, int64_t columns) {
    ContactSheet sheet(count, columns);
    sheet.add(at::zeros({count, 3, 8, 8}, at::kByte));
    return sheet.image().width;
  };
  EXPECT_EQ(width_of(5, 0), 3 * 10 + 2);
  EXPECT_EQ(width_of(1, 0), 12);
  EXPECT_EQ(width_of(2, 7), 2 * 10 + 2);
}

TEST(ContactSheet, RefusesWhatDoesNotFit) {
  ContactSheet sheet(2, 0);
  sheet.add(at::zeros({1, 3, 8, 8}, at::kByte));
  EXPECT_THROW(sheet.add(at::zeros({1, 3, 8, 9}, at::kByte)), Error);
  EXPECT_THROW(sheet.add(at::zeros({2, 3, 8, 8}, at::kByte)), Error);
  // Tells of a sheet of 50 GB before memory is taken.
  ContactSheet huge(1'000'000, 0);
  EXPECT_THROW(huge.add(at::zeros({1, 3, 128, 128}, at::kByte)), Error);
}

}  // namespace edm2
