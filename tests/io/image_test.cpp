#include "edm2/io/image.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <fstream>

#include "edm2/core/error.h"
#include "edm2/io/npz.h"
#include "support/paths.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

std::vector<std::byte> file_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> sample(const std::string& name) {
  return file_bytes(test::data_dir() / "pictures" / name);
}

Tensor to_tensor(const Image& image) {
  Tensor tensor = at::empty({image.height, image.width, image.channels}, at::kByte);
  EXPECT_EQ(tensor.nbytes(), image.pixels.size());
  std::memcpy(tensor.data_ptr(), image.pixels.data(), image.pixels.size());
  return tensor;
}

int64_t largest_difference(const Tensor& a, const Tensor& b) {
  return (a.to(at::kInt) - b.to(at::kInt)).abs().max().item<int64_t>();
}

std::string error_of(const std::vector<std::byte>& bytes, const std::string& name) {
  try {
    decode_image(bytes, name);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

// The expected values are Pillow's (tests/data/make_pictures.py). JPEG decoders may differ a
// little.
TEST(ImageGolden, DecodesEveryKindOfFileAsPillow) {
  const NpzFile expected(test::data_dir() / "pictures.npz");
  int files = 0;
  for (const auto& entry : fs::directory_iterator(test::data_dir() / "pictures")) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const int64_t tolerance = name.ends_with(".jpg") ? 3 : 0;
    const auto bytes = file_bytes(entry.path());
    const Tensor rgb = to_tensor(decode_rgb(bytes, name));
    const Tensor wanted = expected.get(name + ".rgb");
    ASSERT_EQ(rgb.sizes(), wanted.sizes());
    EXPECT_LE(largest_difference(rgb, wanted), tolerance);

    if (expected.contains(name + ".stored")) {
      const Tensor stored = to_tensor(decode_image(bytes, name));
      const Tensor wanted_stored = expected.get(name + ".stored");
      ASSERT_EQ(stored.sizes(), wanted_stored.sizes());
      EXPECT_LE(largest_difference(stored, wanted_stored), tolerance);
    } else {
      EXPECT_NE(error_of(bytes, name).find("16 bits"), std::string::npos);
    }
    ++files;
  }
  EXPECT_EQ(files, 74);
}

TEST(Image, NamesTheFileThatIsBroken) {
  auto bytes = sample("rgb8.png");
  bytes.resize(bytes.size() / 2);
  EXPECT_NE(error_of(bytes, "a/b.png").find("a/b.png"), std::string::npos);
  bytes = sample("photo420.jpg");
  bytes.resize(bytes.size() - 40);
  EXPECT_NE(error_of(bytes, "a/b.jpg").find("a/b.jpg"), std::string::npos);
  bytes.resize(3);
  EXPECT_NE(error_of(bytes, "a/b.jpg").find("a/b.jpg"), std::string::npos);
  EXPECT_NE(error_of({}, "a/b.bmp").find("'a/b.bmp' is no picture that can be read"),
            std::string::npos);
}

// As Pillow decides: pixels whose own checksum holds are used, whatever happened to the rest.
TEST(Image, APngWithoutItsEndIsWhole) {
  const Image image{16, 16, 3, std::vector<uint8_t>(768, 77)};
  for (const int level : {0, 6}) {
    const auto whole = encode_png(image, level);
    constexpr size_t end_size = 12, crc_size = 4, adler_size = 4;
    for (const size_t cut : {size_t{4}, end_size, end_size + crc_size}) {
      auto bytes = whole;
      bytes.resize(whole.size() - cut);
      EXPECT_EQ(decode_image(bytes, "x.png").pixels, image.pixels) << level << ' ' << cut;
    }
    auto bytes = whole;
    bytes[whole.size() - end_size - 1] ^= std::byte{1};  // the chunk's checksum
    EXPECT_EQ(decode_image(bytes, "x.png").pixels, image.pixels) << level;
    bytes = whole;
    bytes[whole.size() - end_size - crc_size - 1] ^= std::byte{1};  // the pixels'
    EXPECT_NE(error_of(bytes, "x.png").find("data check"), std::string::npos) << level;
    bytes = whole;
    bytes.resize(whole.size() - end_size - crc_size - adler_size - 1);
    EXPECT_NE(error_of(bytes, "x.png").find("truncated"), std::string::npos) << level;
    bytes = whole;
    bytes[29] ^= std::byte{1};  // the checksum of the header
    EXPECT_NE(error_of(bytes, "x.png"), "") << level;
  }
}

TEST(Image, DoesNotTakeMemoryForClaims) {
  // A header of 100,000 x 100,000 pixels, and one of 10,000 x 10,000 in a file of a few hundred
  // bytes.
  for (const uint8_t third : {0x01, 0x00}) {
    auto bytes = sample("rgb8.png");
    const uint8_t side[] = {0, third, third != 0 ? uint8_t{0x86} : uint8_t{0x27},
                            third != 0 ? uint8_t{0xa0} : uint8_t{0x10}};
    std::memcpy(bytes.data() + 16, side, 4);
    std::memcpy(bytes.data() + 20, side, 4);
    EXPECT_NE(error_of(bytes, "huge.png"), "");
  }
}

TEST(Image, RefusesToEncodeNonsense) {
  EXPECT_THROW(encode_png({2, 2, 3, std::vector<uint8_t>(11)}), Error);
  EXPECT_THROW(encode_png({2, 2, 5, std::vector<uint8_t>(20)}), Error);
  EXPECT_THROW(encode_png({0, 0, 3, {}}), Error);
  EXPECT_THROW(encode_png({1, 1, 1, {0}}, 10), Error);
}

RC_GTEST_PROP(ImageProperty, PngKeepsPixels, ()) {
  Image image;
  image.width = *rc::gen::inRange<int64_t>(1, 40);
  image.height = *rc::gen::inRange<int64_t>(1, 40);
  image.channels = *rc::gen::inRange<int64_t>(1, 5);
  image.pixels = *rc::gen::container<std::vector<uint8_t>>(
      static_cast<size_t>(image.width * image.height * image.channels),
      rc::gen::arbitrary<uint8_t>());
  const auto png = encode_png(image, *rc::gen::inRange(-1, 10));
  const Image again = decode_image(png, "x.png");
  RC_ASSERT(again.width == image.width);
  RC_ASSERT(again.channels == image.channels);
  RC_ASSERT(again.pixels == image.pixels);
}

RC_GTEST_PROP(ImageProperty, DamageNeverCrashes, ()) {
  auto bytes = sample(*rc::gen::element<std::string>(
      "rgb8.png", "palette4_alpha.png", "grey1.png", "interlaced.png", "photo420.jpg",
      "progressive.jpg", "cmyk.jpg", "lossy.webp", "rgba.webp", "animated.webp", "animated.gif",
      "offset.gif", "interlaced.gif", "runs4.bmp", "runs8.bmp", "palette.bmp", "rgb565.bmp",
      "rgb_tiff_lzw.tif", "float32.tif", "premultiplied.tif", "rgb16.tif", "palette.tif",
      "plain.pgm", "wide.ppm", "bits.pbm"));
  if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size()));
  for (int i = *rc::gen::inRange(0, 6); i > 0 && !bytes.empty(); --i)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = std::byte{*rc::gen::arbitrary<uint8_t>()};
  try {
    decode_image(bytes, "x");
  } catch (const Error&) {
  }
  try {
    decode_rgb(bytes, "x");
  } catch (const Error&) {
  }
}

}  // namespace edm2
