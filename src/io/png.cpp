// PNG by libpng. Its errors come as longjmp, so the functions that call setjmp hold plain data
// only; everything with a destructor lives in their callers.
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "edm2/core/error.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

using Kind = StoredImage::Kind;

/// What libpng's callbacks see of us.
struct PngContext {
  std::span<const std::byte> input;
  size_t position = 0;
  bool input_ended = false;  // more was wanted
  std::vector<std::byte>* output = nullptr;
  char message[160] = {};
};

void on_error(png_structp png, png_const_charp text) {
  auto* context = static_cast<PngContext*>(png_get_error_ptr(png));
  std::strncpy(context->message, text, sizeof(context->message) - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t size) {
  auto* context = static_cast<PngContext*>(png_get_io_ptr(png));
  if (size > context->input.size() - context->position) {
    context->input_ended = true;
    png_error(png, "the file is truncated");
  }
  std::memcpy(out, context->input.data() + context->position, size);
  context->position += size;
}

void on_write(png_structp png, png_bytep data, size_t size) {
  auto* context = static_cast<PngContext*>(png_get_io_ptr(png));
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  try {
    context->output->insert(context->output->end(), bytes, bytes + size);
  } catch (...) {  // no exception may pass through C code
    context->output = nullptr;
  }
  if (context->output == nullptr) png_error(png, "out of memory");
}

void on_flush(png_structp) {}

/// A libpng reader and its header; freed whatever happens.
struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

struct Writer {
  png_structp png = nullptr;
  png_infop info = nullptr;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

bool read_header(png_structp png, png_infop info, PngContext* context) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_set_read_fn(png, context, on_read);
  // Text, profiles and other ancillary chunks are of no use here and may be huge or broken.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  const png_byte depth = png_get_bit_depth(png, info), color = png_get_color_type(png, info);
  if (depth < 8) {
    if (color == PNG_COLOR_TYPE_PALETTE) png_set_packing(png);
    if (color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  }
  if (depth == 16 && color != PNG_COLOR_TYPE_GRAY) png_set_strip_16(png);
  // Pillow has no 16-bit grey with alpha and opens it as RGBA.
  if (depth == 16 && color == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

/// What stands behind the pixels may be missing.
bool read_rows(png_structp png, png_infop info, const PngContext* context, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) {
    constexpr int passes = 7;
    const bool interlaced = png_get_current_pass_number(png) > 0;
    const bool has_all = interlaced
                             ? png_get_current_pass_number(png) == passes
                             : png_get_current_row_number(png) == png_get_image_height(png, info);
    return context->input_ended && has_all;
  }
  // As in Pillow, the checksum within the packed pixels decides, not those of their chunks.
  png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

bool write_rows(png_structp png, png_infop info, PngContext* context, const Image* image, int level,
                png_bytepp rows, std::vector<png_text>* text) {
  constexpr int color_types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                 PNG_COLOR_TYPE_RGB_ALPHA};
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
  png_set_write_fn(png, context, on_write, on_flush);
  if (level == png_for_photographs) {
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    png_set_compression_level(png, 1);
    png_set_compression_strategy(png, Z_RLE);
  } else {
    png_set_compression_level(png, level);
  }
  if (level == 0) png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image->width),
               static_cast<png_uint_32>(image->height), 8, color_types[image->channels - 1],
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!text->empty()) png_set_text(png, info, text->data(), static_cast<int>(text->size()));
  png_write_info(png, info);
  png_write_image(png, rows);
  png_write_end(png, info);
  return true;
}

Kind kind_of(int color_type, int depth) {
  switch (color_type) {
    case PNG_COLOR_TYPE_GRAY:
      return depth == 16 ? Kind::grey16 : Kind::grey;
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      return Kind::grey_alpha;
    case PNG_COLOR_TYPE_PALETTE:
      return Kind::palette;
    case PNG_COLOR_TYPE_RGB:
      return Kind::rgb;
    default:
      return Kind::rgb_alpha;
  }
}

/// The colours that the file defines.
std::vector<uint8_t> read_palette(const Reader& reader) {
  std::vector<uint8_t> palette;
  png_colorp colors = nullptr;
  int count = 0;
  if (png_get_PLTE(reader.png, reader.info, &colors, &count) != 0)
    for (int i = 0; i < std::min(count, 256); ++i)
      palette.insert(palette.end(), {colors[i].red, colors[i].green, colors[i].blue});
  return palette;
}

/// 256 opacities, or none if all colours are opaque.
std::vector<uint8_t> read_palette_alpha(const Reader& reader) {
  png_bytep alpha = nullptr;
  int count = 0;
  if (png_get_tRNS(reader.png, reader.info, &alpha, &count, nullptr) == 0 || alpha == nullptr)
    return {};
  std::vector<uint8_t> result(256, 255);
  std::copy_n(alpha, std::min(count, 256), result.begin());
  return result;
}

/// libpng's view of the texts, which must outlive it.
std::vector<png_text> text_chunks(const PngText& text) {
  static char empty[] = "";
  std::vector<png_text> chunks;
  for (const auto& [key, value] : text) {
    if (key.empty() || key.size() > 79)
      throw Error("the keyword of a text in a PNG file must have 1 to 79 characters");
    const bool ascii = std::all_of(value.begin(), value.end(),
                                   [](char c) { return (c >= ' ' && c <= '~') || c == '\n'; });
    png_text chunk = {};
    chunk.compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    chunk.key = const_cast<char*>(key.c_str());
    chunk.text = const_cast<char*>(value.c_str());
    chunk.text_length = value.size();
    chunk.lang = empty;
    chunk.lang_key = empty;
    chunks.push_back(chunk);
  }
  return chunks;
}

std::vector<png_bytep> row_pointers(uint8_t* pixels, size_t rows, size_t row_bytes) {
  std::vector<png_bytep> pointers(rows);
  for (size_t y = 0; y < rows; ++y) pointers[y] = pixels + y * row_bytes;
  return pointers;
}

}  // namespace

bool is_png(std::span<const std::byte> bytes) {
  return bytes.size() >= 8 &&
         png_sig_cmp(reinterpret_cast<png_const_bytep>(bytes.data()), 0, 8) == 0;
}

StoredImage decode_png(std::span<const std::byte> bytes, const std::string& name, Part part) {
  PngContext context;
  context.input = bytes;
  const auto fail = [&] {
    throw Error("cannot decode the PNG picture '" + name + "': " + context.message);
  };

  Reader reader;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &context, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) throw Error("out of memory while decoding '" + name + "'");
  if (!read_header(reader.png, reader.info, &context)) fail();

  StoredImage stored;
  Image& image = stored.image;
  image.width = png_get_image_width(reader.png, reader.info);
  image.height = png_get_image_height(reader.png, reader.info);
  image.channels = png_get_channels(reader.png, reader.info);
  check_pixel_count(image.width, image.height, name);
  const int color_type = png_get_color_type(reader.png, reader.info);
  stored.kind = kind_of(color_type, png_get_bit_depth(reader.png, reader.info));
  if (stored.kind == Kind::palette) {
    set_palette(stored, read_palette(reader), /*ramp_is_grey=*/false);
    stored.palette_alpha = read_palette_alpha(reader);
  }
  if (part == Part::header) return stored;
  // Deflate packs at most 1032 to 1, so a short file with huge sides is broken: say so before
  // memory is taken. (The eighth: one bit per pixel.)
  if (static_cast<uint64_t>(image.width) * static_cast<uint64_t>(image.height) / 8 / 1032 >
      bytes.size()) {
    std::strcpy(context.message, "the file is truncated");
    fail();
  }

  const size_t row_bytes = png_get_rowbytes(reader.png, reader.info);
  const auto height = static_cast<size_t>(image.height);
  image.pixels.resize(row_bytes * height);
  auto rows = row_pointers(image.pixels.data(), height, row_bytes);
  if (!read_rows(reader.png, reader.info, &context, rows.data())) fail();

  if (stored.kind == Kind::grey16) {  // big-endian pairs
    stored.wide.resize(image.pixels.size() / 2);
    for (size_t i = 0; i < stored.wide.size(); ++i)
      stored.wide[i] = static_cast<uint16_t>(image.pixels[2 * i] << 8 | image.pixels[2 * i + 1]);
    image.pixels.clear();
  }
  return stored;
}

std::vector<std::byte> encode_png(const Image& image, int compression_level, const PngText& text) {
  const bool known_channels = image.channels >= 1 && image.channels <= 4;
  if (!known_channels || image.width < 1 || image.height < 1 ||
      image.pixels.size() != static_cast<size_t>(image.width * image.height * image.channels))
    throw Error("cannot write a PNG picture of " + std::to_string(image.width) + "x" +
                std::to_string(image.height) + " pixels with " + std::to_string(image.channels) +
                " channels");
  if (compression_level < png_for_photographs || compression_level > 9)
    throw Error("the PNG compression level must lie between 0 and 9");

  std::vector<std::byte> output;
  PngContext context;
  context.output = &output;
  Writer writer;
  writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &context, on_error, on_warning);
  if (writer.png != nullptr) writer.info = png_create_info_struct(writer.png);
  if (writer.info == nullptr) throw Error("out of memory while writing a PNG picture");
  const auto row_bytes = static_cast<size_t>(image.width * image.channels);
  auto rows = row_pointers(const_cast<uint8_t*>(image.pixels.data()),
                           static_cast<size_t>(image.height), row_bytes);
  std::vector<png_text> chunks = text_chunks(text);
  if (compression_level == 0)
    output.reserve(image.pixels.size() + image.pixels.size() / 256 + 4096);
  if (!write_rows(writer.png, writer.info, &context, &image, compression_level, rows.data(),
                  &chunks))
    throw Error(std::string("cannot write a PNG picture: ") + context.message);
  return output;
}

}  // namespace edm2
