#include "io/picture_header.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <filesystem>
#include <set>

#include "edm2/core/error.h"
#include "edm2/io/image.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

Image grey_picture(int64_t width, int64_t height) {
  return {width, height, 1, std::vector<uint8_t>(static_cast<size_t>(width * height), 7)};
}

}  // namespace

// Whatever is told must be what decoding gives.
TEST(PictureHeader, AgreesWithTheDecoder) {
  std::set<std::string> told;
  for (const auto& entry : std::filesystem::directory_iterator(test::data_dir() / "pictures")) {
    const std::string bytes = test::read_file(entry.path());
    const auto whole = std::as_bytes(std::span(bytes));
    const auto header =
        read_picture_header(whole.first(std::min(whole.size(), picture_header_bytes)));
    if (!header) continue;
    told.insert(entry.path().extension().string());
    const Image image = decode_rgb(whole, entry.path());
    EXPECT_EQ(header->width, image.width) << entry.path();
    EXPECT_EQ(header->height, image.height) << entry.path();
    EXPECT_EQ(header->animated, entry.path().filename() == "animated.webp") << entry.path();
  }
  EXPECT_EQ(told, (std::set<std::string>{".bmp", ".jpg", ".png", ".webp"}));
}

TEST(PictureHeader, OfAJpegMayComeLate) {
  const std::string jpeg = test::read_file(test::data_dir() / "pictures/photo444.jpg");
  // A comment of 60,000 bytes behind the first marker.
  std::string late = jpeg.substr(0, 2) + "\xff\xfe\xea\x62" + std::string(60'000, 'x');
  late += jpeg.substr(2);
  const auto bytes = std::as_bytes(std::span(late));
  EXPECT_FALSE(read_picture_header(bytes.first(picture_header_bytes)));
  EXPECT_TRUE(header_may_follow(bytes.first(picture_header_bytes)));
  const auto header = read_picture_header(bytes);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->width, decode_image(bytes, "late.jpg").width);
}

TEST(PictureHeader, FindsTextBeforeThePixels) {
  const auto png = encode_png(grey_picture(3, 2), 6, {{"edm2", "{\"seeds\":\"0-3\"}"}, {"a", "b"}});
  EXPECT_EQ(png_text_in_header(png, "edm2"), "{\"seeds\":\"0-3\"}");
  EXPECT_EQ(png_text_in_header(png, "a"), "b");
  EXPECT_EQ(png_text_in_header(png, "edm"), "");
  const auto header = read_picture_header(png);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->width, 3);
  EXPECT_EQ(header->height, 2);
}

RC_GTEST_PROP(PictureHeaderProperty, DamagedBytesAreNoTrouble, ()) {
  const auto files = {"photo420.jpg", "grey8.png", "lossy.webp", "animated.webp", "rgb.bmp"};
  const std::string name =
      *rc::gen::elementOf(std::vector<std::string>(files.begin(), files.end()));
  std::string bytes = test::read_file(test::data_dir() / "pictures" / name);
  bytes.resize(std::min<size_t>(bytes.size(), *rc::gen::inRange<size_t>(0, 700)));
  for (int i = 0; i < 3 && !bytes.empty(); ++i)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  const auto span = std::as_bytes(std::span(bytes));
  const auto header = read_picture_header(span);
  RC_ASSERT(!header || (header->width > 0 && header->height > 0));
  png_text_in_header(span, "edm2");
  header_may_follow(span);
}

}  // namespace edm2
