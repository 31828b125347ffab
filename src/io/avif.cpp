// AVIF by libavif: the first picture of a file, 8 bits a channel.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "edm2/core/error.h"
#include "io/image_codecs.h"

#ifdef EDM2_HAS_AVIF
#include <avif/avif.h>
#endif

namespace edm2 {

/// A box "ftyp" whose brands, the first or one of the compatible ones, say so.
bool is_avif(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < 16 || text.substr(4, 4) != "ftyp") return false;
  const auto size = static_cast<size_t>(bytes[2]) << 8 | static_cast<size_t>(bytes[3]);
  for (size_t i = 8; i + 4 <= std::min(size, text.size()); i += 4)
    if (i != 12 && (text.substr(i, 4) == "avif" || text.substr(i, 4) == "avis")) return true;
  return false;
}

#ifdef EDM2_HAS_AVIF

StoredImage decode_avif(std::span<const std::byte> bytes, const std::string& name, Part part) {
  const auto check = [&](avifResult result) {
    if (result != AVIF_RESULT_OK)
      throw Error("cannot decode the AVIF picture '" + name + "': " + avifResultToString(result));
  };
  const std::unique_ptr<avifDecoder, decltype(&avifDecoderDestroy)> decoder(avifDecoderCreate(),
                                                                            avifDecoderDestroy);
  if (decoder == nullptr) throw Error("out of memory while decoding '" + name + "'");
  decoder->maxThreads = 1;
  decoder->ignoreExif = AVIF_TRUE;
  decoder->ignoreXMP = AVIF_TRUE;
  constexpr uint32_t most_pixels = 178'956'970;
  decoder->imageSizeLimit = most_pixels;
  // As lenient as Pillow: files of older programs lack these.
  decoder->strictFlags &=
      ~static_cast<avifStrictFlags>(AVIF_STRICT_CLAP_VALID | AVIF_STRICT_PIXI_REQUIRED);
  check(avifDecoderSetIOMemory(decoder.get(), reinterpret_cast<const uint8_t*>(bytes.data()),
                               bytes.size()));
  check(avifDecoderParse(decoder.get()));
  StoredImage stored;
  const bool alpha = decoder->alphaPresent != AVIF_FALSE;
  const bool grey = !alpha && decoder->image->yuvFormat == AVIF_PIXEL_FORMAT_YUV400;
  stored.kind = alpha  ? StoredImage::Kind::rgb_alpha
                : grey ? StoredImage::Kind::grey
                       : StoredImage::Kind::rgb;
  Image& image = stored.image;
  image = {decoder->image->width, decoder->image->height, alpha ? 4 : grey ? 1 : 3, {}};
  check_pixel_count(image.width, image.height, name);
  if (part == Part::header) return stored;

  check(avifDecoderNextImage(decoder.get()));
  if (decoder->image->width != image.width || decoder->image->height != image.height)
    throw Error("cannot decode the AVIF picture '" + name + "': its sizes contradict each other");
  avifRGBImage rgb;
  avifRGBImageSetDefaults(&rgb, decoder->image);
  rgb.depth = 8;
  rgb.format = alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  const int64_t channels = alpha ? 4 : 3;
  image.pixels.resize(static_cast<size_t>(image.width * image.height * channels));
  rgb.pixels = image.pixels.data();
  rgb.rowBytes = static_cast<uint32_t>(image.width * channels);
  check(avifImageYUVToRGB(decoder->image, &rgb));
  if (grey) {
    const auto pixels = static_cast<size_t>(image.width * image.height);
    for (size_t i = 0; i < pixels; ++i) image.pixels[i] = image.pixels[3 * i];
    image.pixels.resize(pixels);
  }
  return stored;
}

#else

StoredImage decode_avif(std::span<const std::byte>, const std::string& name, Part) {
  throw Error("'" + name +
              "' is an AVIF picture, which this build does not read (it was made without libavif); "
              "convert it to PNG first");
}

#endif

}  // namespace edm2
