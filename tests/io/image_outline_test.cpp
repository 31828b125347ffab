#include "io/image_outline.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "support/paths.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;
using namespace std::string_literals;
using OutlineKind = ImageOutline::Kind;

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string chunk(const std::string& kind, const std::string& data) {
  const std::string body = kind + data;
  const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
  return big_endian(static_cast<uint32_t>(data.size())) + body +
         big_endian(static_cast<uint32_t>(crc));
}

/// One row of indices.
std::string palette_png(const std::string& palette, const std::string& indices) {
  const std::string row = '\0' + indices;
  std::string packed(compressBound(row.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(row.data()), row.size());
  packed.resize(size);
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR", big_endian(static_cast<uint32_t>(indices.size())) + big_endian(1) +
                           "\x08\x03\0\0\0"s) +
         chunk("PLTE", palette) + chunk("IDAT", packed) + chunk("IEND", "");
}

std::string palette_gif(const std::string& palette, const std::string& indices) {
  std::string text = "GIF89a" + std::string{static_cast<char>(indices.size()), 0, 1, 0};
  int bits = 0;
  while ((size_t{2} << bits) < palette.size() / 3) ++bits;
  text += static_cast<char>(palette.empty() ? 0 : 0x80 | bits);
  text += "\0\0"s + palette + ",\0\0\0\0"s + std::string{static_cast<char>(indices.size()), 0} +
          "\1\0\0\x08"s;
  std::string packed;  // codes of 9 bits: clear, the indices, end
  unsigned pending = 0;
  int count = 0;
  const auto put = [&](unsigned code) {
    pending |= code << count;
    for (count += 9; count >= 8; count -= 8, pending >>= 8) packed += static_cast<char>(pending);
  };
  put(256);
  for (const char index : indices) put(static_cast<unsigned char>(index));
  put(257);
  if (count > 0) packed += static_cast<char>(pending);
  return text + static_cast<char>(packed.size()) + packed + "\0;"s;
}

std::string little_endian(uint32_t value, int bytes = 4) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

/// The palette as RGB triples.
std::string palette_bmp(const std::string& palette, std::string indices) {
  std::string colors;
  for (size_t i = 0; i < palette.size(); i += 3)
    colors += {palette[i + 2], palette[i + 1], palette[i], '\0'};
  const auto width = static_cast<uint32_t>(indices.size());
  indices.resize((indices.size() + 3) / 4 * 4);
  const auto start = static_cast<uint32_t>(14 + 40 + colors.size());
  return "BM" + little_endian(start + static_cast<uint32_t>(indices.size())) + little_endian(0) +
         little_endian(start) + little_endian(40) + little_endian(width) + little_endian(1) +
         little_endian(1, 2) + little_endian(8, 2) + little_endian(0) + little_endian(0) +
         little_endian(0) + little_endian(0) +
         little_endian(static_cast<uint32_t>(palette.size() / 3)) + little_endian(0) + colors +
         indices;
}

std::vector<fs::path> sample_files() {
  std::vector<fs::path> files;
  for (const char* folder : {"pictures", "modern_pictures"})
    for (const auto& entry : fs::directory_iterator(test::data_dir() / folder))
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

int64_t stored_channels(OutlineKind kind) {
  switch (kind) {
    case OutlineKind::grey_alpha:
      return 2;
    case OutlineKind::rgb:
      return 3;
    case OutlineKind::rgb_alpha:
    case OutlineKind::cmyk:
      return 4;
    default:
      return 1;
  }
}

}  // namespace

// Pillow 13 shows these colours.
TEST(Palette, IndicesBeyondItAreBlack) {
  const std::string two("\x0a\x14\x1e\x28\x32\x3c", 6), indices("\0\1\x02\xc8\xff", 5);
  const std::vector<uint8_t> wanted = {10, 20, 30, 40, 50, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  for (const auto& [name, text] :
       std::map<std::string, std::string>{{"a.png", palette_png(two, indices)},
                                          {"a.gif", palette_gif(two, indices)},
                                          {"a.bmp", palette_bmp(two, indices)}}) {
    const auto bytes = bytes_of(text);
    EXPECT_EQ(decode_rgb(bytes, name).pixels, wanted) << name;
    EXPECT_EQ(decode_picture(bytes, name, Channels::keep).pixels, wanted) << name;
    for (const bool ramps : {false, true})
      EXPECT_EQ(decode_for_training(bytes, name, ramps).pixels, wanted) << name;
    EXPECT_EQ(outline_image(bytes, name).kind, OutlineKind::palette) << name;
  }
}

// A palette of the greys 0, 1, 2, ... is no palette: Pillow opens such GIFs and BMPs as grey.
TEST(Palette, GreysOfTheirNumbersAreGrey) {
  const std::string ramp("\0\0\0\1\1\1", 6), indices("\0\1\1\xc8", 4);
  const std::vector<uint8_t> grey = {0, 1, 1, 200};
  for (const auto& [name, text, beyond] :
       std::vector<std::tuple<std::string, std::string, uint8_t>>{
           {"a.png", palette_png(ramp, indices), uint8_t{0}},
           {"a.gif", palette_gif(ramp, indices), uint8_t{200}},
           {"none.gif", palette_gif("", indices), uint8_t{200}},
           {"a.bmp", palette_bmp(ramp, indices), uint8_t{200}}}) {
    const auto bytes = bytes_of(text);
    EXPECT_EQ(outline_image(bytes, name).kind, OutlineKind::grey_ramp) << name;
    const Image alone = decode_for_training(bytes, name, /*ramps_are_grey=*/true);
    EXPECT_EQ(alone.channels, 1) << name;
    EXPECT_EQ(alone.pixels, grey) << name;
    const Image among_colors = decode_for_training(bytes, name, /*ramps_are_grey=*/false);
    EXPECT_EQ(among_colors.channels, 3) << name;
    EXPECT_EQ(among_colors.pixels[3], 1) << name;
    EXPECT_EQ(among_colors.pixels[9], beyond) << name;
  }
}

TEST(ImageOutline, SaysWhatDecodingGives) {
  for (const fs::path& path : sample_files()) {
    SCOPED_TRACE(path.filename().string());
    const auto bytes = bytes_of(read_text_file(path));
    const ImageOutline outline = outline_image(bytes, "x");
    const Image rgb = decode_rgb(bytes, "x");
    EXPECT_EQ(outline.width, rgb.width);
    EXPECT_EQ(outline.height, rgb.height);
    if (outline.kind == OutlineKind::grey_deep) {
      EXPECT_THROW(decode_for_training(bytes, "x", false), Error);
      continue;
    }
    EXPECT_EQ(stored_channels(outline.kind), decode_image(bytes, "x").channels);
    const Image trained = decode_for_training(bytes, "x", false);
    const bool to_rgb = outline.kind == OutlineKind::palette ||
                        outline.kind == OutlineKind::grey_ramp || outline.kind == OutlineKind::cmyk;
    EXPECT_EQ(trained.channels, to_rgb ? 3 : stored_channels(outline.kind));
    if (trained.channels == 3) {
      EXPECT_EQ(trained.pixels, rgb.pixels);
    }
  }
}

// A beginning says the same as the whole, or that it does not reach.
RC_GTEST_PROP(ImageOutlineProperty, OfTheBeginningOfAFile, ()) {
  static const std::vector<fs::path> files = sample_files();
  const fs::path path = files[*rc::gen::inRange<size_t>(0, files.size())];
  const auto bytes = bytes_of(read_text_file(path));
  const ImageOutline whole = outline_image(bytes, "x");
  const auto size = *rc::gen::inRange<size_t>(0, bytes.size() + 1);
  try {
    const ImageOutline part = outline_image(std::span(bytes).first(size), "x");
    RC_ASSERT(part.width == whole.width);
    RC_ASSERT(part.height == whole.height);
    RC_ASSERT(part.kind == whole.kind);
  } catch (const Error&) {
    RC_ASSERT(size < bytes.size());
  }
}

// Values of Pillow 13 (tests/data/make_modern_pictures.py); its decoders are of other versions.
TEST(ModernPicturesGolden, DecodeAsInPillow) {
  const NpzFile expected(test::data_dir() / "modern_pictures.npz");
  int files = 0;
  for (const auto& entry : fs::directory_iterator(test::data_dir() / "modern_pictures")) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const auto bytes = bytes_of(read_text_file(entry.path()));
    const int64_t tolerance = name.ends_with(".avif") ? 3 : name == "lossy.jp2" ? 1 : 0;
    const auto compare = [&](const Image& image, const std::string& key) {
      Tensor pixels = at::empty({image.height, image.width, image.channels}, at::kByte);
      std::memcpy(pixels.data_ptr(), image.pixels.data(), image.pixels.size());
      const Tensor wanted = expected.get(key);
      ASSERT_EQ(pixels.sizes(), wanted.sizes());
      EXPECT_LE((pixels.to(at::kInt) - wanted.to(at::kInt)).abs().max().item<int64_t>(), tolerance);
    };
    compare(decode_rgb(bytes, name), name + ".rgb");
    if (expected.contains(name + ".stored"))
      compare(decode_image(bytes, name), name + ".stored");
    else
      EXPECT_THROW(decode_image(bytes, name), Error);
    ++files;
  }
  EXPECT_EQ(files, 14);
}

RC_GTEST_PROP(ModernPicturesProperty, DamageNeverCrashes, ()) {
  const auto name =
      *rc::gen::element<std::string>("photo420.avif", "alpha.avif", "animated.avif", "rgb.jp2",
                                     "bare.j2k", "tiles.jp2", "grey16.jp2");
  auto bytes = bytes_of(read_text_file(test::data_dir() / "modern_pictures" / name));
  if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size()));
  for (int i = *rc::gen::inRange(0, 6); i > 0 && !bytes.empty(); --i)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = std::byte{*rc::gen::arbitrary<uint8_t>()};
  try {
    decode_rgb(bytes, "x");
  } catch (const Error&) {
  }
}

TEST(OtherPictures, AreRefusedByName) {
  const std::tuple<std::string, std::string, const char*> cases[] = {
      {"a.psd", "8BPS\0\1"s, "Photoshop (PSD)"},
      {"a.ico", "\0\0\1\0\1\0"s, "icon (ICO)"},
      {"a.tga", "\0\0\x02\0\0\0\0\0\0\0\0\0\x08\0\x08\0"s, "Targa (TGA)"},
      {"a.jpg", "\xff\x0a\x10"s, "JPEG XL"},
      {"b.jpg", "\0\0\0\x0cJXL \r\n\x87\n"s, "JPEG XL"},
      {"c.JPG",
       "\0\0\0\x18"
       "ftypheic\0\0\0\0mif1heic"s,
       "HEIC"},
      {"a.qoi", "qoif\0\0\0\x04"s, "QOI"},
      {"a.dds", "DDS |\0\0\0"s, "DirectDraw"},
      {"a.eps", "%!PS-Adobe-3.0 EPSF-3.0"s, "PostScript"},
      {"a.pdf", "%PDF-1.7"s, "PDF"},
      {"a.pcx", "\x0a\x05\1\x08\0\0\0\0\0\0\0\0\0\0\0\0\0"s, "PCX"},
  };
  for (const auto& [name, text, format] : cases) {
    try {
      decode_rgb(bytes_of(text), name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(format), std::string::npos) << message;
      EXPECT_NE(message.find(name), std::string::npos) << message;
    }
  }
}

TEST(OtherPictures, WhatIsInPlaceOfAPictureIsSaid) {
  const std::pair<std::string, const char*> cases[] = {
      {"<!DOCTYPE html><html><body>404</body></html>", "web page"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "Git LFS"},
      {"\x1f\x8b\x08\0"s, "gzip"},
      {"\0\x05\x16\x07\0\x02\0\0"s, "AppleDouble"},
      {"PK\x03\x04"s, "zip archive"},
      {"", "it is empty"},
  };
  for (const auto& [text, words] : cases) {
    try {
      decode_rgb(bytes_of(text), "a.jpg");
      ADD_FAILURE() << words;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }
}

}  // namespace edm2
