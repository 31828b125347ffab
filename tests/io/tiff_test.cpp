// TIFF files made by hand: orientations, and colours that are refused.
#include <gtest/gtest.h>

#include "edm2/core/error.h"
#include "edm2/io/image.h"
#include "io/image_outline.h"

namespace edm2 {
namespace {

std::string tiff_number(uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

struct TiffLayout {
  const char* what;
  uint16_t photometric, bits, samples;
};

/// A picture of 3x2 pixels in one strip. Orientation 0: without the tag.
std::string tiff_file(const TiffLayout& layout, const std::string& pixels, uint16_t orientation) {
  constexpr uint32_t beginning = 8;
  const auto data_end = static_cast<uint32_t>(beginning + pixels.size());
  std::string bits;
  for (int i = 0; i < layout.samples; ++i) bits += tiff_number(layout.bits, 2);
  const uint32_t directory = data_end + static_cast<uint32_t>(bits.size());
  std::string entries;
  uint16_t count = 0;
  const auto add = [&](uint16_t tag, uint32_t value, uint32_t values = 1) {
    constexpr uint16_t short_type = 3;
    entries += tiff_number(tag, 2) + tiff_number(short_type, 2) + tiff_number(values, 4) +
               tiff_number(value, 4);
    ++count;
  };
  add(256, 3);
  add(257, 2);
  if (layout.samples == 1)
    add(258, layout.bits);
  else
    add(258, data_end, layout.samples);
  add(259, 1);
  add(262, layout.photometric);
  add(273, beginning);
  if (orientation > 0) add(274, orientation);
  add(277, layout.samples);
  add(278, 2);
  add(279, static_cast<uint32_t>(pixels.size()));
  add(530, 1 | 1 << 16, 2);  // YCbCr without subsampling
  return "II*" + std::string(1, '\0') + tiff_number(directory, 4) + pixels + bits +
         tiff_number(count, 2) + entries + tiff_number(0, 4);
}

std::span<const std::byte> tiff_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

// What Pillow 10.4, 12.0 and 13.0 make of the same files.
TEST(Tiff, IsTurnedAsItsOrientationSays) {
  constexpr TiffLayout layouts[] = {
      {"grey", 1, 8, 1}, {"grey of 16 bits", 1, 16, 1}, {"RGB", 2, 8, 3}, {"YCbCr", 6, 8, 3}};
  const std::tuple<uint16_t, int64_t, const char*> cases[] = {
      {0, 3, "abcdef"}, {1, 3, "abcdef"}, {2, 3, "cbafed"}, {3, 3, "fedcba"}, {4, 3, "defabc"},
      {5, 2, "adbecf"}, {6, 2, "daebfc"}, {7, 2, "fcebda"}, {8, 2, "cfbead"}, {9, 3, "abcdef"}};
  for (const TiffLayout& layout : layouts) {
    std::string pixels;
    for (int i = 0; i < 6; ++i)
      for (int k = 0; k < layout.bits / 8 * layout.samples; ++k)
        pixels += static_cast<char>(20 + 30 * i + 5 * k);
    const Image plain =
        decode_picture(tiff_bytes(tiff_file(layout, pixels, 1)), "x", Channels::keep);
    const auto channels = static_cast<size_t>(plain.channels);
    for (const auto& [orientation, width, order] : cases) {
      SCOPED_TRACE(layout.what + std::to_string(orientation));
      const std::string file = tiff_file(layout, pixels, orientation);
      const Image image = decode_picture(tiff_bytes(file), "x", Channels::keep);
      EXPECT_EQ(image.width, width);
      EXPECT_EQ(image.height, 6 / width);
      std::vector<uint8_t> wanted;
      for (const char pixel : std::string(order))
        for (size_t c = 0; c < channels; ++c)
          wanted.push_back(plain.pixels[static_cast<size_t>(pixel - 'a') * channels + c]);
      EXPECT_EQ(image.pixels, wanted);
      const ImageOutline outline = outline_image(tiff_bytes(file), "x");
      EXPECT_EQ(outline.width, image.width);
      EXPECT_EQ(outline.height, image.height);
    }
  }
}

TEST(Tiff, CielabIsRefusedByName) {
  for (const uint16_t photometric : {8, 9, 10})
    for (const bool outline_alone : {false, true}) {
      const std::string file = tiff_file({"", photometric, 8, 3}, std::string(18, 'x'), 1);
      try {
        if (outline_alone)
          outline_image(tiff_bytes(file), "a.tif");
        else
          decode_rgb(tiff_bytes(file), "a.tif");
        ADD_FAILURE() << photometric;
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("'a.tif' has CIELAB colours"), std::string::npos)
            << error.what();
      }
    }
}

}  // namespace edm2
