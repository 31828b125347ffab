#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "data/contact_sheet.h"
#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/data/check.h"
#include "edm2/data/file_source.h"
#include "edm2/data/resize.h"
#include "edm2/io/npz.h"

namespace edm2 {
namespace {

Image picture_of(const PictureSource& source, size_t index, const Encoder& encoder,
                 bool decode_latents) {
  const std::string& name = source.items()[index].name;
  if (lower_extension(name) != ".npy") return source.decode(index, Channels::rgb);
  const Tensor raw = read_npy(source.read(index), name);
  if (raw.dim() != 3 || raw.size(0) != encoder.raw_channels() || raw.numel() == 0)
    throw Error("'" + name + "' does not hold latents of " +
                std::to_string(encoder.raw_channels()) + " channels");
  const auto mean = [](const Tensor& like) { return at::zeros_like(like); };
  const Tensor latents = encoder.encode_latents(raw.unsqueeze(0), mean);
  return to_image((decode_latents ? encoder.decode(latents) : encoder.decode_preview(latents))[0]);
}

std::vector<int64_t> choose(const ShowOptions& options, int64_t size) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  if (options.random) NumpyRandom(static_cast<uint32_t>(options.seed)).shuffle(order);
  order.erase(order.begin(), order.begin() + options.first);
  if (options.count < static_cast<int64_t>(order.size()))
    order.resize(static_cast<size_t>(options.count));
  return order;
}

}  // namespace

Image show_dataset(const ShowOptions& options, const Encoder& encoder, bool decode_latents,
                   Progress& progress) {
  SourceOptions all = options.source;
  all.content = SourceContent::both;
  const auto source = open_picture_source(all);
  const auto size = static_cast<int64_t>(source->items().size());
  if (size == 0)
    throw Error("there are no pictures in '" + options.source.path + "'" + source->instead());
  if (options.count < 1 || options.first < 0 || options.first >= size)
    throw Error("there is no picture " + std::to_string(options.first) + " in '" +
                options.source.path + "', which has " + std::to_string(size));
  const auto chosen = choose(options, size);
  ContactSheet sheet(static_cast<int64_t>(chosen.size()), options.columns);
  std::optional<Resolution> cell;
  progress.start("Drawing", static_cast<int64_t>(chosen.size()), "image");
  for (const int64_t index : chosen) {
    check_interrupt();
    Image image = picture_of(*source, static_cast<size_t>(index), encoder, decode_latents);
    if (!cell) cell = Resolution{image.width, image.height};
    if (image.width != cell->width || image.height != cell->height)
      image = *apply_transform(image, Transform::pad, cell);
    sheet.add_pixels(
        at::from_blob(image.pixels.data(), {1, image.height, image.width, 3}, at::kByte));
    progress.advance();
  }
  progress.finish();
  return sheet.image();
}

}  // namespace edm2
