// JPEG by libjpeg-turbo with its defaults (slow integer DCT, fancy upsampling), as Pillow decodes.
// Errors come as longjmp, so the functions that call setjmp hold plain data only.
#include <cstdio>  // jpeglib.h needs FILE

#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>

#include "edm2/core/error.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

struct JpegReader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
  char message[JMSG_LENGTH_MAX] = {};

  JpegReader() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    progress.progress_monitor = on_progress;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  static void on_error(j_common_ptr info) {
    auto* self = static_cast<JpegReader*>(info->client_data);
    info->err->format_message(info, self->message);
    std::longjmp(self->jump, 1);
  }
  /// libjpeg fills what is missing at the end with grey; a truncated picture must be an error.
  static void on_message(j_common_ptr info, int level) {
    if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) on_error(info);
  }
  /// A small file with thousands of scans, each over the whole picture, would keep us busy for
  /// hours.
  static void on_progress(j_common_ptr info) {
    constexpr int max_scans = 1000;
    if (info->is_decompressor &&
        reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > max_scans) {
      auto* self = static_cast<JpegReader*>(info->client_data);
      std::snprintf(self->message, sizeof(self->message), "more than %d scans", max_scans);
      std::longjmp(self->jump, 1);
    }
  }
};

bool read_header(JpegReader* reader, const unsigned char* data, unsigned long size) {
  if (setjmp(reader->jump) != 0) return false;
  jpeg_create_decompress(&reader->info);
  reader->info.progress = &reader->progress;
  jpeg_mem_src(&reader->info, data, size);
  jpeg_read_header(&reader->info, TRUE);
  if (reader->info.num_components == 4) reader->info.out_color_space = JCS_CMYK;
  jpeg_calc_output_dimensions(&reader->info);
  return true;
}

bool read_rows(JpegReader* reader, unsigned char* pixels, size_t row_bytes) {
  if (setjmp(reader->jump) != 0) return false;
  jpeg_start_decompress(&reader->info);
  while (reader->info.output_scanline < reader->info.output_height) {
    JSAMPROW row = pixels + row_bytes * reader->info.output_scanline;
    jpeg_read_scanlines(&reader->info, &row, 1);
  }
  jpeg_finish_decompress(&reader->info);
  return true;
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} &&
         bytes[2] == std::byte{0xff};
}

StoredImage decode_jpeg(std::span<const std::byte> bytes, const std::string& name, Part part) {
  JpegReader reader;
  const auto fail = [&] {
    throw Error("cannot decode the JPEG picture '" + name + "': " + reader.message);
  };
  if (!read_header(&reader, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()))
    fail();

  StoredImage stored;
  Image& image = stored.image;
  image.width = reader.info.output_width;
  image.height = reader.info.output_height;
  image.channels = reader.info.output_components;
  check_pixel_count(image.width, image.height, name);
  switch (image.channels) {
    case 1:
      stored.kind = StoredImage::Kind::grey;
      break;
    case 3:
      stored.kind = StoredImage::Kind::rgb;
      break;
    case 4:
      stored.kind = StoredImage::Kind::cmyk;
      break;
    default:
      throw Error("the JPEG picture '" + name + "' has " + std::to_string(image.channels) +
                  " channels; 1, 3 and 4 can be read");
  }
  if (part == Part::header) return stored;
  const auto row_bytes = static_cast<size_t>(image.width * image.channels);
  image.pixels.resize(row_bytes * static_cast<size_t>(image.height));
  if (!read_rows(&reader, image.pixels.data(), row_bytes)) fail();
  if (stored.kind == StoredImage::Kind::cmyk)  // such files hold inverted inks (Adobe's convention)
    for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(255 - value);
  return stored;
}

}  // namespace edm2
