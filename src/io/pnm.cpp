// Netpbm pictures: PBM, PGM and PPM, plain and raw, up to 16 bits.
#include <algorithm>
#include <cmath>

#include "io/byte_reader.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

bool is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The next number in the header or in a plain picture; comments run from # to the end of the
/// line. Consumes the one character behind it.
uint32_t read_number(ByteReader& in) {
  uint8_t c = in.u8();
  while (is_space(c) || c == '#') {
    if (c == '#')
      while (c != '\n' && c != '\r') c = in.u8();
    c = in.u8();
  }
  uint32_t value = 0;
  for (int digits = 0; !is_space(c) && c != '#'; ++digits) {
    if (c < '0' || c > '9' || digits == 9) in.fail("it holds something that is not a number");
    value = 10 * value + (c - '0');
    if (in.left() == 0) return value;
    c = in.u8();
  }
  if (c == '#')
    while (c != '\n' && c != '\r') c = in.u8();
  return value;
}

/// The next bit of a plain PBM, whose digits need no space between them.
uint8_t read_plain_bit(ByteReader& in) {
  uint8_t c = in.u8();
  while (is_space(c)) c = in.u8();
  if (c != '0' && c != '1') in.fail("it holds something that is not a bit");
  return c == '0' ? 255 : 0;
}

void read_bits(ByteReader& in, bool plain, Image& image) {
  for (int64_t y = 0; y < image.height; ++y) {
    if (plain) {
      for (int64_t x = 0; x < image.width; ++x) image.pixels.push_back(read_plain_bit(in));
      continue;
    }
    const auto row = in.take(static_cast<size_t>((image.width + 7) / 8));
    for (int64_t x = 0; x < image.width; ++x) {
      const auto byte = static_cast<unsigned>(row[static_cast<size_t>(x / 8)]);
      image.pixels.push_back((byte >> (7 - x % 8) & 1) != 0 ? 0 : 255);
    }
  }
}

uint32_t read_sample(ByteReader& in, bool plain, uint32_t highest) {
  if (plain) return read_number(in);
  const uint32_t first = in.u8();
  return highest < 256 ? first : first << 8 | in.u8();
}

}  // namespace

bool is_pnm(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{'P'} && bytes[1] >= std::byte{'1'} &&
         bytes[1] <= std::byte{'6'} && is_space(static_cast<uint8_t>(bytes[2]));
}

StoredImage decode_pnm(std::span<const std::byte> bytes, const std::string& name, Part part) {
  ByteReader in(bytes, "cannot decode the PNM picture '" + name + "'");
  in.u8();
  const int kind = in.u8() - '0';  // 1 2 3: plain bits, grey, colour; 4 5 6: the same, raw
  const bool plain = kind <= 3, bits = kind % 3 == 1, color = kind % 3 == 0;
  StoredImage stored;
  Image& image = stored.image;
  image.width = read_number(in);
  image.height = read_number(in);
  image.channels = color ? 3 : 1;
  check_pixel_count(image.width, image.height, name);
  const uint32_t highest = bits ? 1 : read_number(in);
  if (highest < 1 || highest > 65535) in.fail("its highest value is not between 1 and 65535");
  const bool wide = !color && highest > 255;
  stored.kind =
      color ? StoredImage::Kind::rgb : (wide ? StoredImage::Kind::grey16 : StoredImage::Kind::grey);
  if (part == Part::header) return stored;
  const auto samples = static_cast<size_t>(image.width * image.height * image.channels);
  if (samples / 8 > in.left()) in.fail("the file is truncated");

  if (bits) {
    read_bits(in, plain, image);
    return stored;
  }
  for (size_t i = 0; i < samples; ++i) {
    const uint32_t value = read_sample(in, plain, highest);
    if (value > highest && plain) in.fail("it holds a value above its highest one");
    const double top = wide ? 65535 : 255;
    const double scaled = std::min(top, std::nearbyint(double(value) / double(highest) * top));
    if (wide)
      stored.wide.push_back(static_cast<uint16_t>(scaled));
    else
      image.pixels.push_back(static_cast<uint8_t>(scaled));
  }
  return stored;
}

}  // namespace edm2
