// WebP: animations out, pictures in.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <webp/demux.h>
#include <webp/encode.h>

#include <memory>

#include "edm2/core/error.h"
#include "edm2/io/image.h"

namespace edm2 {
namespace {

/// A picture that a lossless coder must keep and that depends on `seed`.
Image noise(int64_t width, int64_t height, unsigned seed) {
  Image image{width, height, 3, std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  for (uint8_t& value : image.pixels)
    value = static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
  return image;
}

std::vector<std::byte> animate(const std::vector<Image>& frames) {
  WebpAnimation animation(frames[0].width, frames[0].height);
  for (const Image& frame : frames) animation.add(frame, 100);
  return animation.finish();
}

std::vector<std::byte> lossless(const Image& image) {
  uint8_t* output = nullptr;
  const int width = static_cast<int>(image.width), height = static_cast<int>(image.height);
  const size_t size = WebPEncodeLosslessRGB(image.pixels.data(), width, height, 3 * width, &output);
  const auto* bytes = reinterpret_cast<const std::byte*>(output);
  std::vector<std::byte> result(bytes, bytes + size);
  WebPFree(output);
  return result;
}

std::string error_of(const std::vector<std::byte>& bytes) {
  try {
    decode_rgb(bytes, "x.webp");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST(WebpAnimation, KeepsEveryFrame) {
  const std::vector<Image> frames = {noise(9, 7, 1), noise(9, 7, 2), noise(9, 7, 2),
                                     noise(9, 7, 3)};
  const auto bytes = animate(frames);
  const WebPData data = {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, nullptr), WebPAnimDecoderDelete);
  ASSERT_NE(decoder, nullptr);
  WebPAnimInfo info;
  ASSERT_TRUE(WebPAnimDecoderGetInfo(decoder.get(), &info));
  EXPECT_EQ(info.loop_count, 0u);  // forever
  EXPECT_EQ(info.canvas_width, 9u);
  EXPECT_EQ(info.canvas_height, 7u);
  int time = 0, end = 0;
  for (size_t shown = 0; shown < frames.size(); shown = static_cast<size_t>(end / 100)) {
    uint8_t* rgba = nullptr;
    ASSERT_TRUE(WebPAnimDecoderGetNext(decoder.get(), &rgba, &end));
    ASSERT_GT(end, time);
    for (size_t i = shown; i < static_cast<size_t>(end / 100); ++i)  // equal frames become one
      for (size_t p = 0; p < 9 * 7; ++p)
        for (size_t c = 0; c < 3; ++c)
          ASSERT_EQ(rgba[4 * p + c], frames[i].pixels[3 * p + c]) << "frame " << i;
    time = end;
  }
  EXPECT_EQ(end, 400);
}

TEST(WebpAnimation, RefusesWhatTheFormatLacks) {
  EXPECT_THROW(WebpAnimation(0, 5), Error);
  EXPECT_THROW(WebpAnimation(5, 16384), Error);
  WebpAnimation animation(9, 7);
  EXPECT_THROW(animation.add(noise(7, 9, 1), 100), Error);
}

TEST(WebpDecoder, LosslessPicturesAndFirstFrames) {
  const Image picture = noise(21, 13, 4);
  EXPECT_EQ(decode_rgb(lossless(picture), "x.webp").pixels, picture.pixels);
  EXPECT_EQ(decode_image(lossless(picture), "x.webp").channels, 3);
  const auto animation = animate({picture, noise(21, 13, 5)});
  EXPECT_EQ(decode_rgb(animation, "x.webp").pixels, picture.pixels);
}

TEST(WebpDecoder, RefusesBrokenFiles) {
  const auto whole = lossless(noise(21, 13, 6));
  for (size_t size = 12; size < whole.size(); size += 7) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_NE(error_of(cut).find("'x.webp'"), std::string::npos) << size;
  }
  const auto animation = animate({noise(21, 13, 7), noise(21, 13, 8)});
  const std::vector<std::byte> cut(animation.begin(), animation.begin() + 300);
  EXPECT_NE(error_of(cut).find("'x.webp'"), std::string::npos);
}

RC_GTEST_PROP(WebpProperty, DamageNeverCrashes, ()) {
  auto bytes = *rc::gen::arbitrary<bool>() ? lossless(noise(21, 13, 9))
                                           : animate({noise(8, 8, 1), noise(8, 8, 2)});
  if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size()));
  for (int i = *rc::gen::inRange(0, 6); i > 0 && !bytes.empty(); --i)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = std::byte{*rc::gen::arbitrary<uint8_t>()};
  error_of(bytes);
}

}  // namespace edm2
