// Texts in PNG files, and write_png.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>

#include "edm2/core/error.h"
#include "edm2/io/image.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

const Image pixel = {1, 1, 3, {10, 20, 30}};

PngText text_of(const std::vector<std::byte>& png) { return read_png_text(png, "x.png"); }

std::string text_error_of(const std::vector<std::byte>& png) {
  try {
    text_of(png);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

size_t position_of(const std::vector<std::byte>& bytes, const std::string& text) {
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find(text);
}

}  // namespace

TEST(PngText, WhatIsWrittenIsRead) {
  const PngText text = {
      {"edm2", R"({"seed": 16})"}, {"Comment", "zwölf Boxkämpfer"}, {"empty", ""}};
  const auto png = encode_png(pixel, 6, text);
  EXPECT_EQ(text_of(png), text);
  EXPECT_TRUE(text_of(encode_png(pixel)).empty());
  EXPECT_EQ(decode_image(png, "x.png").pixels, pixel.pixels);
  // Before the pixels, so that a tool need not read them.
  EXPECT_LT(position_of(png, "edm2"), position_of(png, "IDAT"));
}

TEST(PngText, ReadsLatin1AndLeavesOutCompressedTexts) {
  auto png = encode_png(pixel, 6, {{"Author", "J?rgen"}, {"Comment", "plain \xe2\x82\xac"}});
  const size_t at = position_of(png, "J?rgen");
  EXPECT_NE(text_error_of([&] {
              auto damaged = png;
              damaged[at + 1] = std::byte{0xfc};  // its CRC is now wrong
              return damaged;
            }())
                .find("damaged"),
            std::string::npos);
  EXPECT_EQ(text_of(png).at("Comment"), "plain \xe2\x82\xac");
}

TEST(PngText, RefusesBrokenFiles) {
  const auto png = encode_png(pixel, 6, {{"key", "value"}});
  for (size_t size = 8; size < png.size(); ++size) {
    const std::vector<std::byte> cut(png.begin(), png.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_NE(text_error_of(cut).find("'x.png' is truncated"), std::string::npos) << size;
  }
  EXPECT_NE(text_error_of({}).find("'x.png' is not a PNG"), std::string::npos);
  auto huge = png;  // a chunk that claims 4 GB
  for (size_t i = 8; i < 12; ++i) huge[i] = std::byte{0xff};
  EXPECT_NE(text_error_of(huge).find("truncated"), std::string::npos);
}

TEST(PngText, RefusesKeywordsThatPngLacks) {
  EXPECT_THROW(encode_png(pixel, 6, {{"", "x"}}), Error);
  EXPECT_THROW(encode_png(pixel, 6, {{std::string(80, 'k'), "x"}}), Error);
}

TEST(WritePng, KeepsPixelsAndText) {
  const test::TempDir dir;
  const Tensor image = at::randint(0, 256, {3, 5, 7}, at::kByte);
  write_png(dir / "a.png", image, {{"edm2", "{}"}});
  const std::string file = test::read_file(dir / "a.png");
  const auto bytes = std::as_bytes(std::span(file));
  const Image read = decode_image(bytes, "a.png");
  ASSERT_EQ(read.width, 7);
  ASSERT_EQ(read.height, 5);
  const Tensor hwc = image.permute({1, 2, 0}).contiguous();
  EXPECT_EQ(std::memcmp(hwc.data_ptr(), read.pixels.data(), read.pixels.size()), 0);
  EXPECT_EQ(read_png_text(bytes, "a.png").at("edm2"), "{}");
  EXPECT_THROW(write_png(dir / "no" / "a.png", image), Error);
}

RC_GTEST_PROP(PngTextProperty, DamageNeverCrashes, ()) {
  auto png = encode_png(pixel, 6, {{"key", "value"}, {"utf8", "ä"}});
  for (int i = *rc::gen::inRange(0, 6); i > 0; --i)
    png[*rc::gen::inRange<size_t>(0, png.size())] = std::byte{*rc::gen::arbitrary<uint8_t>()};
  png.resize(*rc::gen::inRange<size_t>(0, png.size() + 1));
  text_error_of(png);
}

}  // namespace edm2
