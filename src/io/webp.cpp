// WebP by libwebp: pictures in, animations out.
#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <cstring>

#include "edm2/core/error.h"
#include "io/image_codecs.h"

namespace edm2 {
namespace {

using Kind = StoredImage::Kind;

const uint8_t* as_bytes(std::span<const std::byte> bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

[[noreturn]] void fail_to_decode(const std::string& name, const char* reason) {
  throw Error("cannot decode the WebP picture '" + name + "': " + reason);
}

/// The canvas with the first frame of an animation on it, RGB + alpha.
Image first_frame(std::span<const std::byte> bytes, const std::string& name) {
  const WebPData data = {as_bytes(bytes), bytes.size()};
  const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
      WebPAnimDecoderNew(&data, nullptr), WebPAnimDecoderDelete);
  WebPAnimInfo info;
  uint8_t* pixels = nullptr;
  int timestamp = 0;
  if (decoder == nullptr || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0 ||
      WebPAnimDecoderGetNext(decoder.get(), &pixels, &timestamp) == 0)
    fail_to_decode(name, "the animation is damaged or truncated");
  const size_t size = size_t{4} * info.canvas_width * info.canvas_height;
  return {info.canvas_width, info.canvas_height, 4, {pixels, pixels + size}};
}

}  // namespace

bool is_webp(std::span<const std::byte> bytes) {
  return bytes.size() >= 12 && std::memcmp(bytes.data(), "RIFF", 4) == 0 &&
         std::memcmp(bytes.data() + 8, "WEBP", 4) == 0;
}

StoredImage decode_webp(std::span<const std::byte> bytes, const std::string& name, Part part) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(as_bytes(bytes), bytes.size(), &features);
  if (status != VP8_STATUS_OK)
    fail_to_decode(name, status == VP8_STATUS_NOT_ENOUGH_DATA ? "the file is truncated"
                                                              : "the file is damaged");
  check_pixel_count(features.width, features.height, name);
  StoredImage stored;
  stored.kind = features.has_alpha != 0 ? Kind::rgb_alpha : Kind::rgb;
  if (features.has_animation != 0) stored.kind = Kind::rgb_alpha;
  Image& image = stored.image;
  image.width = features.width;
  image.height = features.height;
  image.channels = stored.kind == Kind::rgb_alpha ? 4 : 3;
  if (part == Part::header) return stored;
  if (features.has_animation != 0) {
    image = first_frame(bytes, name);
    return stored;
  }
  const int stride = features.width * static_cast<int>(image.channels);
  image.pixels.resize(static_cast<size_t>(stride) * static_cast<size_t>(features.height));
  const auto decode = features.has_alpha != 0 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(as_bytes(bytes), bytes.size(), image.pixels.data(), image.pixels.size(), stride) ==
      nullptr)
    fail_to_decode(name, "the file is damaged or truncated");
  return stored;
}

struct WebpAnimation::State {
  int width = 0, height = 0, time = 0;
  WebPConfig config;
  WebPAnimEncoder* encoder = nullptr;
  ~State() { WebPAnimEncoderDelete(encoder); }
};

WebpAnimation::WebpAnimation(int64_t width, int64_t height) : state_(std::make_unique<State>()) {
  if (width < 1 || height < 1 || width > longest_side || height > longest_side)
    throw Error("a WebP picture must have sides of 1 to " + std::to_string(longest_side) +
                " pixels, not " + std::to_string(width) + "x" + std::to_string(height));
  state_->width = static_cast<int>(width);
  state_->height = static_cast<int>(height);
  WebPAnimEncoderOptions options;
  constexpr int quick = 2;  // of 0 to 9: beyond it files hardly shrink
  if (WebPConfigInit(&state_->config) == 0 ||
      WebPConfigLosslessPreset(&state_->config, quick) == 0 ||
      WebPAnimEncoderOptionsInit(&options) == 0)
    throw Error("cannot write WebP animations: the libwebp of this machine does not fit");
  state_->encoder = WebPAnimEncoderNew(state_->width, state_->height, &options);
  if (state_->encoder == nullptr) throw Error("out of memory while writing a WebP animation");
}

WebpAnimation::~WebpAnimation() = default;

void WebpAnimation::add(const Image& frame, int milliseconds) {
  if (frame.width != state_->width || frame.height != state_->height || frame.channels != 3)
    throw Error("the frames of a WebP animation must have one size and 3 channels");
  WebPPicture picture;
  if (WebPPictureInit(&picture) == 0)
    throw Error("cannot write WebP animations: the libwebp of this machine does not fit");
  const std::unique_ptr<WebPPicture, decltype(&WebPPictureFree)> cleanup(&picture, WebPPictureFree);
  picture.width = state_->width;
  picture.height = state_->height;
  picture.use_argb = 1;
  if (WebPPictureImportRGB(&picture, frame.pixels.data(), 3 * state_->width) == 0 ||
      WebPAnimEncoderAdd(state_->encoder, &picture, state_->time, &state_->config) == 0)
    throw Error("out of memory while writing a WebP animation");
  state_->time += milliseconds;
}

std::vector<std::byte> WebpAnimation::finish() {
  WebPData data;
  WebPDataInit(&data);
  const std::unique_ptr<WebPData, decltype(&WebPDataClear)> cleanup(&data, WebPDataClear);
  if (WebPAnimEncoderAdd(state_->encoder, nullptr, state_->time, nullptr) == 0 ||
      WebPAnimEncoderAssemble(state_->encoder, &data) == 0)
    throw Error(std::string("cannot write a WebP animation: ") +
                WebPAnimEncoderGetError(state_->encoder));
  const auto* bytes = reinterpret_cast<const std::byte*>(data.bytes);
  return {bytes, bytes + data.size};
}

}  // namespace edm2
