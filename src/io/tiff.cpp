// TIFF by libtiff: the first picture of a file; grey, palette, RGB and CMYK with 1 to 16 bits, grey
// of 32 bits or floating point, in strips or tiles, channels together or apart; YCbCr and others
// through libtiff's own conversion. Turned as the tag of the orientation says, as Pillow does it.
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "edm2/core/error.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

using Kind = StoredImage::Kind;

/// The file as libtiff sees it.
struct Source {
  std::span<const std::byte> bytes;
  uint64_t position = 0;
  std::string message;
  bool is_too_short = false;  // libtiff asked for more
};

tmsize_t on_read(thandle_t handle, void* out, tmsize_t size) {
  auto* source = static_cast<Source*>(handle);
  if (size < 0) return 0;
  source->is_too_short = source->is_too_short || source->position > source->bytes.size() ||
                         static_cast<uint64_t>(size) > source->bytes.size() - source->position;
  if (source->position >= source->bytes.size()) return 0;
  const auto count = std::min(static_cast<uint64_t>(size), source->bytes.size() - source->position);
  std::memcpy(out, source->bytes.data() + source->position, count);
  source->position += count;
  return static_cast<tmsize_t>(count);
}
tmsize_t on_write(thandle_t, void*, tmsize_t) { return 0; }
toff_t on_seek(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<Source*>(handle);
  if (whence == SEEK_SET) source->position = offset;
  if (whence == SEEK_CUR) source->position += offset;
  if (whence == SEEK_END) source->position = source->bytes.size() + offset;
  return source->position;
}
int on_close(thandle_t) { return 0; }
toff_t on_size(thandle_t handle) { return static_cast<Source*>(handle)->bytes.size(); }

int on_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  char text[200];
  std::vsnprintf(text, sizeof(text), format, arguments);
  auto* source = static_cast<Source*>(user);
  if (source->message.empty()) source->message = text;
  return 1;  // nothing to stderr
}
int on_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

struct Layout {
  uint32_t width = 0, height = 0;
  uint16_t bits = 1, samples = 1, photometric = PHOTOMETRIC_MINISBLACK;
  uint16_t planar = PLANARCONFIG_CONTIG, format = SAMPLEFORMAT_UINT;
  uint16_t orientation = ORIENTATION_TOPLEFT;
  bool premultiplied = false;

  bool rows_are_columns() const {
    return orientation >= ORIENTATION_LEFTTOP && orientation <= ORIENTATION_LEFTBOT;
  }
};

/// Pixels of `size` values each in the order in which they are seen. Orientations beyond the eight
/// that there are mean nothing.
template <class Value>
void turn(std::vector<Value>& pixels, size_t size, const Layout& layout) {
  if (pixels.empty()) return;
  const size_t width = layout.width, height = layout.height;
  const uint16_t o = layout.orientation;
  if (o <= ORIENTATION_TOPLEFT || o > ORIENTATION_LEFTBOT) return;
  const bool from_right = o == ORIENTATION_TOPRIGHT || o == ORIENTATION_BOTRIGHT ||
                          o == ORIENTATION_RIGHTBOT || o == ORIENTATION_LEFTBOT;
  const bool from_bottom = o == ORIENTATION_BOTRIGHT || o == ORIENTATION_BOTLEFT ||
                           o == ORIENTATION_RIGHTTOP || o == ORIENTATION_RIGHTBOT;
  const bool transposed = layout.rows_are_columns();
  std::vector<Value> turned;
  turned.reserve(pixels.size());
  for (size_t i = 0; i < (transposed ? width : height); ++i)
    for (size_t k = 0; k < (transposed ? height : width); ++k) {
      const size_t x = transposed ? i : k, y = transposed ? k : i;
      const size_t from =
          (from_bottom ? height - 1 - y : y) * width + (from_right ? width - 1 - x : x);
      turned.insert(turned.end(), pixels.begin() + static_cast<std::ptrdiff_t>(from * size),
                    pixels.begin() + static_cast<std::ptrdiff_t>((from + 1) * size));
    }
  pixels = std::move(turned);
}

int64_t channels_of(Kind kind) {
  switch (kind) {
    case Kind::grey_alpha:
      return 2;
    case Kind::rgb:
      return 3;
    case Kind::rgb_alpha:
    case Kind::cmyk:
      return 4;
    default:
      return 1;
  }
}

class TiffDecoder {
 public:
  TiffDecoder(std::span<const std::byte> bytes, const std::string& name)
      : source_{.bytes = bytes, .message = {}}, name_(name) {
    const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(
        TIFFOpenOptionsAlloc(), TIFFOpenOptionsFree);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), tmsize_t{1} << 30);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), on_error, &source_);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), on_warning, &source_);
    tiff_.reset(TIFFClientOpenExt("picture", "rm", &source_, on_read, on_write, on_seek, on_close,
                                  on_size, nullptr, nullptr, options.get()));
    if (!tiff_) fail("it is damaged");
  }

  StoredImage decode(Part part) {
    read_layout();
    const auto kind = direct_kind();
    StoredImage stored;
    stored.kind = kind.value_or(Kind::rgb);
    stored.image = {layout_.width, layout_.height, channels_of(stored.kind), {}};
    if (stored.kind == Kind::palette) set_palette(stored, palette(), /*ramp_is_grey=*/false);
    // Without a tag that lies behind the beginning, a palette for one, it would be another kind.
    if (part == Part::header && source_.is_too_short) fail("the file is truncated");
    if (part == Part::whole) {
      if (kind)
        read_directly(stored);
      else
        convert_by_library(stored);
      turn(stored.image.pixels, static_cast<size_t>(stored.image.channels), layout_);
      turn(stored.wide, 1, layout_);
    }
    if (layout_.rows_are_columns()) std::swap(stored.image.width, stored.image.height);
    return stored;
  }

 private:
  [[noreturn]] void fail(const std::string& fallback) const {
    throw Error("cannot decode the TIFF picture '" + name_ +
                "': " + (source_.message.empty() ? fallback : source_.message));
  }

  void read_layout() {
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGEWIDTH, &layout_.width);
    TIFFGetField(tiff_.get(), TIFFTAG_IMAGELENGTH, &layout_.height);
    check_pixel_count(layout_.width, layout_.height, name_);
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_BITSPERSAMPLE, &layout_.bits);
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_SAMPLESPERPIXEL, &layout_.samples);
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_PLANARCONFIG, &layout_.planar);
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_SAMPLEFORMAT, &layout_.format);
    TIFFGetField(tiff_.get(), TIFFTAG_PHOTOMETRIC, &layout_.photometric);
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_ORIENTATION, &layout_.orientation);
    uint16_t extra = 0, *kinds = nullptr;
    TIFFGetFieldDefaulted(tiff_.get(), TIFFTAG_EXTRASAMPLES, &extra, &kinds);
    layout_.premultiplied = extra > 0 && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
    // Rows of the smallest possible size: a short file with huge sides is broken. The strongest
    // compressions (deflate, LZMA and fax codes among them) stay below 1 to 16,384.
    const uint64_t row_bits = uint64_t{layout_.width} * layout_.bits;
    if (row_bits * layout_.height / 8 / 16384 > source_.bytes.size()) fail("the file is truncated");
  }

  /// What is read sample by sample here; none: by libtiff's conversion to RGBA.
  std::optional<Kind> direct_kind() const {
    const Layout& l = layout_;
    if (l.photometric == PHOTOMETRIC_CIELAB || l.photometric == PHOTOMETRIC_ICCLAB ||
        l.photometric == PHOTOMETRIC_ITULAB)
      throw Error(
          "the TIFF picture '" + name_ +
          "' has CIELAB colours, which this program does not read; convert it to RGB first");
    const bool grey =
        l.photometric == PHOTOMETRIC_MINISBLACK || l.photometric == PHOTOMETRIC_MINISWHITE;
    if (grey && l.samples == 1 && is_wide_number()) return Kind::grey_clipped;
    if (l.format != SAMPLEFORMAT_UINT) {
      if (l.format == SAMPLEFORMAT_VOID) return std::nullopt;
      throw Error("the TIFF picture '" + name_ + "' holds signed or floating-point numbers of " +
                  std::to_string(l.bits) + " bits, " + std::to_string(l.samples) +
                  " for each pixel; convert it to 8 bits first");
    }
    const bool small = l.bits == 1 || l.bits == 2 || l.bits == 4;
    if (grey && l.bits == 8 && l.samples == 2) return Kind::grey_alpha;
    if (grey && (small || l.bits == 8)) return Kind::grey;
    if (grey && l.bits == 16 && l.samples == 1) return Kind::grey16;
    if (l.photometric == PHOTOMETRIC_PALETTE && (small || l.bits == 8)) return Kind::palette;
    if (l.bits != 8 && l.bits != 16) return std::nullopt;
    if (l.photometric == PHOTOMETRIC_RGB && l.samples >= 3)
      return l.samples == 4 ? Kind::rgb_alpha : Kind::rgb;
    if (l.photometric == PHOTOMETRIC_SEPARATED && l.samples >= 4) return Kind::cmyk;
    return std::nullopt;
  }

  /// What Pillow opens as 32-bit or floating-point grey.
  bool is_wide_number() const {
    const Layout& l = layout_;
    if (l.format == SAMPLEFORMAT_IEEEFP) return l.bits == 32;
    if (l.format == SAMPLEFORMAT_INT) return l.bits == 16 || l.bits == 32;
    return l.format == SAMPLEFORMAT_UINT && l.bits == 32;
  }

  /// Such a number as Pillow brings it to 8 bits: cut off at both ends, and the fraction too.
  uint8_t clipped(const uint8_t* row, size_t index) const {
    const auto clip = [&]<class Number>(Number value) {
      std::memcpy(&value, row + sizeof value * index, sizeof value);
      return value >= Number{255} ? uint8_t{255}
                                  : static_cast<uint8_t>(value > Number{0} ? value : Number{0});
    };
    if (layout_.format == SAMPLEFORMAT_IEEEFP) return clip(float{});
    return layout_.bits == 16 ? clip(int16_t{}) : clip(int32_t{});
  }

  void read_directly(StoredImage& stored) {
    const auto pixels = static_cast<size_t>(stored.image.width * stored.image.height);
    if (stored.kind == Kind::grey16)
      stored.wide.resize(pixels);
    else
      stored.image.pixels.resize(pixels * static_cast<size_t>(stored.image.channels));
    read_blocks(stored);
    if (stored.kind == Kind::rgb_alpha && layout_.premultiplied) divide_by_alpha(stored.image);
  }

  /// Strips are tiles as wide as the picture.
  void read_blocks(StoredImage& stored) {
    TIFF* tiff = tiff_.get();
    const bool tiled = TIFFIsTiled(tiff) != 0;
    uint32_t block_width = layout_.width, block_height = layout_.height;
    if (tiled) {
      TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &block_width);
      TIFFGetField(tiff, TIFFTAG_TILELENGTH, &block_height);
    } else {
      TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &block_height);
      block_height = std::min(block_height, layout_.height);
    }
    const tmsize_t bytes = tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
    const auto row_bytes =
        static_cast<size_t>(tiled ? TIFFTileRowSize(tiff) : TIFFScanlineSize(tiff));
    constexpr tmsize_t limit = tmsize_t{1} << 30;
    if (block_width < 1 || block_height < 1 || bytes < 1 || bytes > limit)
      fail("its blocks are too large");
    std::vector<uint8_t> block(static_cast<size_t>(bytes));
    const bool apart = layout_.planar == PLANARCONFIG_SEPARATE;
    const uint16_t planes = apart ? static_cast<uint16_t>(stored.image.channels) : uint16_t{1};
    for (uint16_t plane = 0; plane < planes; ++plane)
      for (uint32_t top = 0; top < layout_.height; top += block_height)
        for (uint32_t left = 0; left < layout_.width; left += block_width) {
          const tmsize_t got =
              tiled ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, left, top, 0, plane),
                                          block.data(), bytes)
                    : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, top, plane), block.data(),
                                           bytes);
          const uint32_t rows = std::min(block_height, layout_.height - top);
          if (got < static_cast<tmsize_t>(rows * row_bytes)) fail("the file is truncated");
          const uint32_t columns = std::min(block_width, layout_.width - left);
          for (uint32_t y = 0; y < rows; ++y)
            copy_row(block.data() + y * row_bytes, left, top + y, columns, plane, stored);
        }
  }

  /// `columns` pixels of a decoded row (one channel of them, if channels lie apart).
  void copy_row(const uint8_t* row, uint32_t left, uint32_t y, uint32_t columns, uint16_t plane,
                StoredImage& stored) const {
    const bool apart = layout_.planar == PLANARCONFIG_SEPARATE;
    const size_t stride = apart ? 1 : layout_.samples;  // samples between pixels of the row
    const auto channels = static_cast<size_t>(stored.image.channels);
    const size_t first = size_t{y} * layout_.width + left;
    const bool inverted = layout_.photometric == PHOTOMETRIC_MINISWHITE;
    for (size_t x = 0; x < columns; ++x)
      for (size_t c = apart ? plane : 0; c < (apart ? plane + 1U : channels); ++c) {
        const size_t index = x * stride + (apart ? 0 : c);
        if (stored.kind == Kind::grey16) {
          uint16_t value;
          std::memcpy(&value, row + 2 * index, 2);
          stored.wide[first + x] = value;
          continue;
        }
        if (stored.kind == Kind::grey_clipped) {
          stored.image.pixels[first + x] = clipped(row, index);
          continue;
        }
        uint8_t value = sample(row, index);
        if (stored.kind == Kind::grey) value = static_cast<uint8_t>(value * 255 / highest());
        if (inverted) value = static_cast<uint8_t>(255 - value);
        stored.image.pixels[(first + x) * channels + c] = value;
      }
  }

  int highest() const { return layout_.bits >= 8 ? 255 : (1 << layout_.bits) - 1; }

  /// Of 16 bits the high byte (libtiff gives them in this machine's order).
  uint8_t sample(const uint8_t* row, size_t index) const {
    if (layout_.bits == 8) return row[index];
    if (layout_.bits == 16) {
      uint16_t value;
      std::memcpy(&value, row + 2 * index, 2);
      return static_cast<uint8_t>(value >> 8);
    }
    const size_t bit = index * layout_.bits;
    return static_cast<uint8_t>((row[bit / 8] >> (8 - layout_.bits - bit % 8)) & highest());
  }

  static void divide_by_alpha(Image& image) {
    for (size_t i = 0; i < image.pixels.size(); i += 4) {
      uint8_t* pixel = image.pixels.data() + i;
      for (int c = 0; c < 3; ++c)
        pixel[c] =
            static_cast<uint8_t>(pixel[3] == 0 ? 0 : std::min(255 * pixel[c] / pixel[3], 255));
    }
  }

  std::vector<uint8_t> palette() const {
    uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
    if (TIFFGetField(tiff_.get(), TIFFTAG_COLORMAP, &red, &green, &blue) == 0)
      fail("it has no palette");
    std::vector<uint8_t> colors;
    for (size_t i = 0; i <= static_cast<size_t>(highest()); ++i)
      for (const uint16_t* channel : {red, green, blue})
        colors.push_back(static_cast<uint8_t>(channel[i] >> 8));
    return colors;
  }

  void convert_by_library(StoredImage& stored) {
    char why[1024] = {};
    if (TIFFRGBAImageOK(tiff_.get(), why) == 0) {
      source_.message = why;
      fail("its colours cannot be read");
    }
    const auto pixels = static_cast<size_t>(stored.image.width * stored.image.height);
    std::vector<uint32_t> raster(pixels);
    // Asked for the orientation that it has, libtiff turns nothing.
    if (TIFFReadRGBAImageOriented(tiff_.get(), layout_.width, layout_.height, raster.data(),
                                  layout_.orientation, /*stop=*/1) == 0)
      fail("it is damaged or truncated");
    stored.image.pixels.reserve(3 * pixels);
    for (const uint32_t pixel : raster)
      for (const uint32_t value : {TIFFGetR(pixel), TIFFGetG(pixel), TIFFGetB(pixel)})
        stored.image.pixels.push_back(static_cast<uint8_t>(value));
  }

  Source source_;
  std::string name_;
  std::unique_ptr<TIFF, decltype(&TIFFClose)> tiff_{nullptr, TIFFClose};
  Layout layout_;
};

}  // namespace

bool is_tiff(std::span<const std::byte> bytes) {
  if (bytes.size() < 8) return false;
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const bool little = at(0) == 'I' && at(1) == 'I' && at(3) == 0 && (at(2) == 42 || at(2) == 43);
  const bool big = at(0) == 'M' && at(1) == 'M' && at(2) == 0 && (at(3) == 42 || at(3) == 43);
  return little || big;
}

StoredImage decode_tiff(std::span<const std::byte> bytes, const std::string& name, Part part) {
  return TiffDecoder(bytes, name).decode(part);
}

}  // namespace edm2
