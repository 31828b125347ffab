// GIF by giflib: the first frame, drawn on the screen that the file describes.
#include <gif_lib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "edm2/core/error.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

struct Input {
  std::span<const std::byte> bytes;
  size_t position = 0;
};

int on_read(GifFileType* gif, GifByteType* out, int size) {
  auto* input = static_cast<Input*>(gif->UserData);
  const size_t count = std::min(static_cast<size_t>(size), input->bytes.size() - input->position);
  std::memcpy(out, input->bytes.data() + input->position, count);
  input->position += count;
  return static_cast<int>(count);
}

struct Close {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};
using Gif = std::unique_ptr<GifFileType, Close>;

class GifDecoder {
 public:
  GifDecoder(std::span<const std::byte> bytes, const std::string& name)
      : input_{bytes}, name_(name) {
    int error = 0;
    gif_.reset(DGifOpen(&input_, on_read, &error));
    if (!gif_) fail(error);
  }

  StoredImage decode(Part part) {
    find_first_frame();
    const GifImageDesc& frame = gif_->Image;
    StoredImage stored;
    stored.kind = StoredImage::Kind::palette;
    Image& image = stored.image;
    // A frame that reaches beyond the screen makes it larger.
    image.width = std::max<int64_t>(gif_->SWidth, int64_t{frame.Left} + frame.Width);
    image.height = std::max<int64_t>(gif_->SHeight, int64_t{frame.Top} + frame.Height);
    image.channels = 1;
    check_pixel_count(image.width, image.height, name_);
    set_palette(stored, colors(), /*ramp_is_grey=*/true);
    if (part == Part::header) return stored;
    // LZW packs a run of at most 4096 into 12 bits.
    if (static_cast<uint64_t>(image.width) * static_cast<uint64_t>(image.height) / 4096 >
        input_.bytes.size())
      throw Error("cannot decode the GIF picture '" + name_ + "': the file is truncated");
    image.pixels.assign(static_cast<size_t>(image.width * image.height), transparent_);
    read_frame(image);
    return stored;
  }

 private:
  [[noreturn]] void fail(int error) const {
    const char* text = GifErrorString(error);
    throw Error("cannot decode the GIF picture '" + name_ +
                "': " + (text == nullptr ? "it is damaged or truncated" : text));
  }
  void check(int status) const {
    if (status == GIF_ERROR) fail(gif_->Error);
  }

  void find_first_frame() {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    while (true) {
      check(DGifGetRecordType(gif_.get(), &record));
      if (record == TERMINATE_RECORD_TYPE)
        throw Error("cannot decode the GIF picture '" + name_ + "': it holds no picture");
      if (record == IMAGE_DESC_RECORD_TYPE) break;
      if (record == EXTENSION_RECORD_TYPE) read_extension();
    }
    check(DGifGetImageDesc(gif_.get()));
    if (gif_->Image.Width < 1 || gif_->Image.Height < 1) fail(D_GIF_ERR_DATA_TOO_BIG);
  }

  /// Of all extensions only the transparent colour matters: it fills what the frame leaves free.
  void read_extension() {
    int code = 0;
    GifByteType* block = nullptr;
    check(DGifGetExtension(gif_.get(), &code, &block));
    while (block != nullptr) {
      GraphicsControlBlock control;
      if (code == GRAPHICS_EXT_FUNC_CODE &&
          DGifExtensionToGCB(block[0], block + 1, &control) == GIF_OK)
        transparent_ = control.TransparentColor == NO_TRANSPARENT_COLOR
                           ? 0
                           : static_cast<uint8_t>(control.TransparentColor);
      check(DGifGetExtensionNext(gif_.get(), &block));
    }
  }

  void read_frame(Image& image) {
    const GifImageDesc& frame = gif_->Image;
    const auto read_row = [&](int y) {
      uint8_t* row = image.pixels.data() + (int64_t{frame.Top} + y) * image.width + frame.Left;
      check(DGifGetLine(gif_.get(), row, frame.Width));
    };
    if (!frame.Interlace) {
      for (int y = 0; y < frame.Height; ++y) read_row(y);
      return;
    }
    constexpr int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    for (int pass = 0; pass < 4; ++pass)
      for (int y = first[pass]; y < frame.Height; y += step[pass]) read_row(y);
  }

  /// None without a table: the numbers are greys.
  std::vector<uint8_t> colors() const {
    const ColorMapObject* map =
        gif_->Image.ColorMap != nullptr ? gif_->Image.ColorMap : gif_->SColorMap;
    std::vector<uint8_t> colors;
    for (int i = 0; map != nullptr && i < std::clamp(map->ColorCount, 0, 256); ++i)
      colors.insert(colors.end(), {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue});
    return colors;
  }

  Input input_;
  std::string name_;
  Gif gif_;
  uint8_t transparent_ = 0;
};

}  // namespace

bool is_gif(std::span<const std::byte> bytes) {
  return bytes.size() >= 6 && (std::memcmp(bytes.data(), "GIF87a", 6) == 0 ||
                               std::memcmp(bytes.data(), "GIF89a", 6) == 0);
}

StoredImage decode_gif(std::span<const std::byte> bytes, const std::string& name, Part part) {
  return GifDecoder(bytes, name).decode(part);
}

}  // namespace edm2
