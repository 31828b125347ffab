// BMP (Windows and OS/2 headers): 1, 4, 8, 16, 24 and 32 bits, run lengths, bit fields.
#include <algorithm>
#include <bit>
#include <cstdlib>

#include "io/byte_reader.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

enum Compression : uint32_t { raw = 0, rle8 = 1, rle4 = 2, bit_fields = 3, alpha_bit_fields = 6 };

struct Header {
  int64_t width = 0, height = 0;
  bool top_down = false;
  int bits = 0;
  uint32_t compression = raw;
  uint32_t colors = 0;            // entries of the palette
  uint32_t masks[3] = {0, 0, 0};  // red, green, blue of 16- and 32-bit pixels
  size_t pixels = 0;              // offset
  std::vector<uint8_t> palette;
};

void read_info(ByteReader& in, Header& h, uint32_t info_size) {
  if (info_size == 12) {  // OS/2
    h.width = in.u16();
    h.height = in.u16();
    in.u16();
    h.bits = in.u16();
    return;
  }
  h.width = in.i32();
  h.height = in.i32();
  h.top_down = h.height < 0;
  h.height = std::abs(h.height);
  in.u16();
  h.bits = in.u16();
  h.compression = in.u32();
  in.take(12);
  h.colors = in.u32();
  in.u32();
}

void read_masks(ByteReader& in, Header& h) {
  if (h.compression == bit_fields || h.compression == alpha_bit_fields) {
    for (uint32_t& mask : h.masks) mask = in.u32();
  } else if (h.bits == 16) {
    h.masks[0] = 0x7c00, h.masks[1] = 0x03e0, h.masks[2] = 0x001f;
  } else {
    h.masks[0] = 0xff0000, h.masks[1] = 0x00ff00, h.masks[2] = 0x0000ff;
  }
}

void read_palette(ByteReader& in, Header& h, size_t entry_bytes) {
  const uint32_t possible = uint32_t{1} << h.bits;
  const uint32_t count = h.colors == 0 ? possible : std::min(h.colors, possible);
  for (size_t i = 0; i < count; ++i) {
    const auto entry = in.take(entry_bytes);  // blue, green, red
    for (size_t c = 0; c < 3; ++c) h.palette.push_back(static_cast<uint8_t>(entry[2 - c]));
  }
}

Header read_header(ByteReader& in, const std::string& name) {
  Header h;
  in.seek(10);
  h.pixels = in.u32();
  const size_t info_begin = in.position();
  const uint32_t info_size = in.u32();
  if (info_size != 12 && (info_size < 40 || info_size > 124))
    in.fail("its header of " + std::to_string(info_size) + " bytes is not known");
  read_info(in, h, info_size);
  check_pixel_count(h.width, h.height, name);
  const bool known_bits =
      h.bits == 1 || h.bits == 4 || h.bits == 8 || h.bits == 16 || h.bits == 24 || h.bits == 32;
  const bool known_compression =
      h.compression == raw || (h.compression == rle8 && h.bits == 8) ||
      (h.compression == rle4 && h.bits == 4) ||
      ((h.compression == bit_fields || h.compression == alpha_bit_fields) &&
       (h.bits == 16 || h.bits == 32));
  if (!known_bits || !known_compression)
    in.fail("compression " + std::to_string(h.compression) + " with " + std::to_string(h.bits) +
            " bits a pixel cannot be read");
  if (h.bits > 8) read_masks(in, h);  // within long headers, behind one of 40 bytes
  in.seek(std::max(in.position(), info_begin + info_size));
  if (h.bits <= 8) read_palette(in, h, info_size == 12 ? 3 : 4);
  return h;
}

/// The bits of a mask as a number from 0 to 255.
class Channel {
 public:
  explicit Channel(uint32_t mask)
      : mask_(mask), shift_(mask == 0 ? 0 : std::countr_zero(mask)), highest_(mask_ >> shift_) {}
  uint8_t operator()(uint32_t pixel) const {
    if (highest_ == 0) return 0;
    if (highest_ == 255) return static_cast<uint8_t>((pixel & mask_) >> shift_);
    return static_cast<uint8_t>(uint64_t{(pixel & mask_) >> shift_} * 255 / highest_);
  }

 private:
  uint32_t mask_;
  int shift_;
  uint32_t highest_;
};

/// Uncompressed rows, each padded to four bytes.
void read_rows(ByteReader& in, const Header& h, Image& image) {
  const auto row_bytes = static_cast<size_t>((h.width * h.bits + 31) / 32 * 4);
  if (row_bytes > in.left() / static_cast<size_t>(h.height)) in.fail("the file is truncated");
  image.pixels.resize(static_cast<size_t>(h.width * h.height * image.channels));
  const Channel red(h.masks[0]), green(h.masks[1]), blue(h.masks[2]);
  for (int64_t i = 0; i < h.height; ++i) {
    const auto row = in.take(row_bytes);
    const int64_t y = h.top_down ? i : h.height - 1 - i;
    uint8_t* out = image.pixels.data() + y * h.width * image.channels;
    for (int64_t x = 0; x < h.width; ++x) {
      const auto byte = [&](int64_t index) {
        return static_cast<uint32_t>(row[static_cast<size_t>(index)]);
      };
      if (h.bits <= 8) {
        const int64_t bit = x * h.bits;
        *out++ =
            static_cast<uint8_t>((byte(bit / 8) >> (8 - h.bits - bit % 8)) & ((1U << h.bits) - 1));
        continue;
      }
      uint32_t pixel = 0;
      for (int64_t b = h.bits / 8 - 1; b >= 0; --b) pixel = pixel << 8 | byte(x * h.bits / 8 + b);
      *out++ = red(pixel);
      *out++ = green(pixel);
      *out++ = blue(pixel);
    }
  }
}

/// Palette indices as runs; what the file leaves out stays 0.
void read_runs(ByteReader& in, const Header& h, Image& image) {
  image.pixels.resize(static_cast<size_t>(h.width * h.height));
  int64_t x = 0, y = 0;
  const auto put = [&](uint8_t index) {
    if (y >= h.height || x >= h.width) return;
    image.pixels[static_cast<size_t>((h.top_down ? y : h.height - 1 - y) * h.width + x)] = index;
    ++x;
  };
  const bool nibbles = h.compression == rle4;
  const auto pixel_of = [&](uint8_t byte, int i) {
    if (!nibbles) return byte;
    return static_cast<uint8_t>(i % 2 == 0 ? byte >> 4 : byte & 15);
  };
  while (y < h.height) {
    const int count = in.u8(), value = in.u8();
    if (count > 0) {
      for (int i = 0; i < count; ++i) put(pixel_of(static_cast<uint8_t>(value), i));
    } else if (value == 0) {  // end of line
      x = 0, ++y;
    } else if (value == 1) {  // end of picture
      return;
    } else if (value == 2) {  // move
      x += in.u8();
      y += in.u8();
    } else {  // that many pixels as they are, padded to two bytes
      const auto bytes = in.take(static_cast<size_t>(nibbles ? (value + 1) / 2 : value));
      for (int i = 0; i < value; ++i)
        put(pixel_of(static_cast<uint8_t>(bytes[static_cast<size_t>(nibbles ? i / 2 : i)]), i));
      if (bytes.size() % 2 == 1) in.u8();
    }
  }
}

/// Such pictures are grey ones, not coloured ones with a palette.
bool is_black_and_white(int bits, const std::vector<uint8_t>& palette) {
  constexpr uint8_t black_white[] = {0, 0, 0, 255, 255, 255};
  return bits == 1 &&
         std::equal(std::begin(black_white), std::end(black_white), palette.begin(), palette.end());
}

}  // namespace

bool is_bmp(std::span<const std::byte> bytes) {
  return bytes.size() >= 26 && bytes[0] == std::byte{'B'} && bytes[1] == std::byte{'M'};
}

StoredImage decode_bmp(std::span<const std::byte> bytes, const std::string& name, Part part) {
  ByteReader in(bytes, "cannot decode the BMP picture '" + name + "'");
  const Header header = read_header(in, name);
  StoredImage stored;
  stored.kind = header.bits <= 8 ? StoredImage::Kind::palette : StoredImage::Kind::rgb;
  stored.image = {header.width, header.height, header.bits <= 8 ? 1 : 3, {}};
  const bool black_and_white = is_black_and_white(header.bits, header.palette);
  if (black_and_white) stored.kind = StoredImage::Kind::grey;
  if (stored.kind == StoredImage::Kind::palette)
    set_palette(stored, header.palette, /*ramp_is_grey=*/true);
  if (part == Part::header) return stored;
  in.seek(header.pixels);
  if (header.compression == rle8 || header.compression == rle4)
    read_runs(in, header, stored.image);
  else
    read_rows(in, header, stored.image);
  if (black_and_white) {
    for (uint8_t& pixel : stored.image.pixels) pixel = pixel == 0 ? 0 : 255;
  }
  return stored;
}

}  // namespace edm2
