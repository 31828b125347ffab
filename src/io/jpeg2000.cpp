// JPEG 2000 by OpenJPEG: JP2 files and bare codestreams, 1 to 4 channels.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "edm2/core/error.h"
#include "io/image_codecs.h"

#ifdef EDM2_HAS_JPEG2000
#include <openjpeg.h>
#endif

namespace edm2 {
namespace {

using namespace std::string_view_literals;

bool is_codestream(std::string_view text) { return text.starts_with("\xff\x4f\xff\x51"sv); }

}  // namespace

bool is_jpeg2000(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return is_codestream(text) || text.starts_with("\0\0\0\x0cjP  \r\n\x87\n"sv);
}

#ifdef EDM2_HAS_JPEG2000
namespace {

/// The file as OpenJPEG sees it.
struct Jpeg2000Input {
  std::span<const std::byte> bytes;
  size_t position = 0;
  std::string message = {};
};

OPJ_SIZE_T on_jpeg2000_read(void* out, OPJ_SIZE_T size, void* user) {
  auto* input = static_cast<Jpeg2000Input*>(user);
  const size_t count = std::min(size, input->bytes.size() - input->position);
  if (count == 0) return static_cast<OPJ_SIZE_T>(-1);
  std::memcpy(out, input->bytes.data() + input->position, count);
  input->position += count;
  return count;
}

OPJ_OFF_T on_jpeg2000_skip(OPJ_OFF_T count, void* user) {
  auto* input = static_cast<Jpeg2000Input*>(user);
  if (count < 0 || static_cast<uint64_t>(count) > input->bytes.size() - input->position) return -1;
  input->position += static_cast<size_t>(count);
  return count;
}

OPJ_BOOL on_jpeg2000_seek(OPJ_OFF_T position, void* user) {
  auto* input = static_cast<Jpeg2000Input*>(user);
  if (position < 0 || static_cast<uint64_t>(position) > input->bytes.size()) return OPJ_FALSE;
  input->position = static_cast<size_t>(position);
  return OPJ_TRUE;
}

void on_jpeg2000_error(const char* text, void* user) {
  auto* input = static_cast<Jpeg2000Input*>(user);
  if (!input->message.empty()) return;
  input->message = text;
  while (input->message.ends_with('\n')) input->message.pop_back();
}

void on_jpeg2000_warning(const char*, void*) {}

class Jpeg2000Decoder {
 public:
  Jpeg2000Decoder(std::span<const std::byte> bytes, const std::string& name)
      : input_{bytes}, name_(name) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    codec_.reset(opj_create_decompress(is_codestream(text) ? OPJ_CODEC_J2K : OPJ_CODEC_JP2));
    stream_.reset(opj_stream_create(1 << 16, OPJ_TRUE));
    if (codec_ == nullptr || stream_ == nullptr)
      throw Error("out of memory while decoding '" + name + "'");
    opj_set_error_handler(codec_.get(), on_jpeg2000_error, &input_);
    opj_set_warning_handler(codec_.get(), on_jpeg2000_warning, &input_);
    opj_stream_set_user_data(stream_.get(), &input_, nullptr);
    opj_stream_set_user_data_length(stream_.get(), bytes.size());
    opj_stream_set_read_function(stream_.get(), on_jpeg2000_read);
    opj_stream_set_skip_function(stream_.get(), on_jpeg2000_skip);
    opj_stream_set_seek_function(stream_.get(), on_jpeg2000_seek);
  }

  StoredImage decode(Part part) {
    read_header();
    StoredImage stored;
    stored.image = {int64_t{image_->x1} - image_->x0, int64_t{image_->y1} - image_->y0, 0, {}};
    check_pixel_count(stored.image.width, stored.image.height, name_);
    if (part == Part::whole) decode_components(stored.image);
    set_kind(stored);
    if (part == Part::header) return stored;
    if (stored.kind == StoredImage::Kind::grey16)
      copy_wide(stored);
    else
      copy_bytes(stored.image);
    if (image_->color_space == OPJ_CLRSPC_SYCC && stored.image.channels >= 3) to_rgb(stored.image);
    return stored;
  }

 private:
  [[noreturn]] void fail(const std::string& fallback) const {
    throw Error("cannot decode the JPEG 2000 picture '" + name_ +
                "': " + (input_.message.empty() ? fallback : input_.message));
  }

  void read_header() {
    opj_dparameters_t parameters;
    opj_set_default_decoder_parameters(&parameters);
    opj_image_t* image = nullptr;
    const bool good = opj_setup_decoder(codec_.get(), &parameters) != OPJ_FALSE &&
                      opj_read_header(stream_.get(), codec_.get(), &image) != OPJ_FALSE;
    image_.reset(image);
    if (!good || image == nullptr) fail("it is damaged or truncated");
    if (image->numcomps < 1 || image->numcomps > 4)
      fail("it has " + std::to_string(image->numcomps) + " channels");
  }

  void decode_components(const Image& size) {
    // Even a picture of one colour takes some bits for each block; a short file with huge sides is
    // broken.
    constexpr uint64_t best_ratio = 16384;
    const auto samples = static_cast<uint64_t>(size.width * size.height) * image_->numcomps;
    if (samples / best_ratio > input_.bytes.size()) fail("the file is truncated");
    if (opj_decode(codec_.get(), stream_.get(), image_.get()) == OPJ_FALSE)
      fail("it is damaged or truncated");
    for (OPJ_UINT32 c = 0; c < image_->numcomps; ++c) {
      const opj_image_comp_t& component = image_->comps[c];
      if (component.data == nullptr || component.dx < 1 || component.dy < 1 || component.prec < 1 ||
          component.prec > 31 || component.w < 1 || component.h < 1)
        fail("it is damaged or truncated");
    }
  }

  /// Palettes have been looked up by the library, so that the number of channels may have grown.
  void set_kind(StoredImage& stored) const {
    using Kind = StoredImage::Kind;
    constexpr Kind kinds[] = {Kind::grey, Kind::grey_alpha, Kind::rgb, Kind::rgb_alpha};
    if (image_->numcomps < 1 || image_->numcomps > 4)
      fail("it has " + std::to_string(image_->numcomps) + " channels");
    stored.kind = kinds[image_->numcomps - 1];
    stored.image.channels = image_->numcomps;
    if (image_->color_space == OPJ_CLRSPC_CMYK && image_->numcomps == 4) stored.kind = Kind::cmyk;
    if (image_->numcomps == 1 && image_->comps[0].prec > 8) stored.kind = Kind::grey16;
  }

  /// A sample of unsigned numbers; parts with fewer samples than pixels are repeated.
  int64_t sample(const opj_image_comp_t& component, int64_t x, int64_t y) const {
    const auto column = std::min<int64_t>(x / component.dx, component.w - 1);
    const auto row = std::min<int64_t>(y / component.dy, component.h - 1);
    const int64_t value = component.data[row * component.w + column];
    return component.sgnd != 0 ? value + (int64_t{1} << (component.prec - 1)) : value;
  }

  void copy_wide(StoredImage& stored) const {
    const opj_image_comp_t& component = image_->comps[0];
    const Image& image = stored.image;
    stored.wide.reserve(static_cast<size_t>(image.width * image.height));
    for (int64_t y = 0; y < image.height; ++y)
      for (int64_t x = 0; x < image.width; ++x) {
        const int64_t value = sample(component, x, y);
        const int64_t wide =
            component.prec <= 16 ? value << (16 - component.prec) : value >> (component.prec - 16);
        stored.wide.push_back(static_cast<uint16_t>(std::clamp<int64_t>(wide, 0, 65535)));
      }
  }

  /// Of more than 8 bits the highest ones, rounded, as in Pillow.
  void copy_bytes(Image& image) const {
    image.pixels.resize(static_cast<size_t>(image.width * image.height * image.channels));
    for (int64_t c = 0; c < image.channels; ++c) {
      const opj_image_comp_t& component = image_->comps[c];
      const auto bits = static_cast<int>(component.prec);
      uint8_t* out = image.pixels.data() + c;
      for (int64_t y = 0; y < image.height; ++y)
        for (int64_t x = 0; x < image.width; ++x, out += image.channels) {
          const int64_t value = sample(component, x, y);
          const int64_t byte =
              bits <= 8 ? value << (8 - bits) : (value + (1 << (bits - 9))) >> (bits - 8);
          *out = static_cast<uint8_t>(std::clamp<int64_t>(byte, 0, 255));
        }
    }
  }

  /// Of luminance and colour differences, by the constants of JFIF.
  static void to_rgb(Image& image) {
    const auto byte = [](double value) {
      return static_cast<uint8_t>(std::clamp(value + 0.5, 0.0, 255.0));
    };
    const auto step = static_cast<size_t>(image.channels);
    for (size_t i = 0; i < image.pixels.size(); i += step) {
      uint8_t* pixel = image.pixels.data() + i;
      const double y = pixel[0], cb = pixel[1] - 128.0, cr = pixel[2] - 128.0;
      pixel[0] = byte(y + 1.402 * cr);
      pixel[1] = byte(y - 0.344136 * cb - 0.714136 * cr);
      pixel[2] = byte(y + 1.772 * cb);
    }
  }

  Jpeg2000Input input_;
  std::string name_;
  // (opj_codec_t and opj_stream_t are void.)
  std::unique_ptr<opj_codec_t, decltype(&opj_destroy_codec)> codec_{nullptr, opj_destroy_codec};
  std::unique_ptr<opj_stream_t, decltype(&opj_stream_destroy)> stream_{nullptr, opj_stream_destroy};
  std::unique_ptr<opj_image_t, decltype(&opj_image_destroy)> image_{nullptr, opj_image_destroy};
};

}  // namespace

StoredImage decode_jpeg2000(std::span<const std::byte> bytes, const std::string& name, Part part) {
  return Jpeg2000Decoder(bytes, name).decode(part);
}

#else

StoredImage decode_jpeg2000(std::span<const std::byte>, const std::string& name, Part) {
  throw Error("'" + name +
              "' is a JPEG 2000 picture, which this build does not read (it was made without "
              "OpenJPEG); convert it to PNG first");
}

#endif

}  // namespace edm2
