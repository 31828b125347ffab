#include "generate/resume.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "core/ordered_workers.h"
#include "data/contact_sheet.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "generate/output.h"
#include "generate/parameters.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// What a file of a run is found to be.
struct Found {
  bool whole = false;
  std::string parameters;  // empty if it does not say
};

/// Sides that a picture of the network can have. Encoders enlarge by a whole factor.
bool right_size(const Image& image, const Sampler& sampler) {
  const int64_t resolution = sampler.net().img_resolution();
  const bool latent = sampler.encoder().options().kind == EncoderOptions::Kind::stability_vae;
  return image.channels == (latent ? 3 : sampler.net().img_channels()) &&
         image.width == image.height &&
         (latent ? image.width % resolution == 0 : image.width == resolution);
}

/// Whether there is such a file and `look` says so of its contents, which may be truncated,
/// damaged, or something else: then the picture is to be drawn again.
template <class Look>
bool is_whole(const fs::path& file, const Look& look) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return false;
  try {
    const MappedFile mapped(file);
    return look(decode_image(mapped.bytes(), file.string()), mapped.bytes());
  } catch (const Error&) {
    return false;
  }
}

Found look_at(const GenerateOptions& options, const Sampler& sampler, int64_t seed) {
  using Bytes = std::span<const std::byte>;
  const fs::path picture = *options.outdir / image_file_name(seed, options.subdirs);
  Found found;
  found.whole = is_whole(picture, [&](const Image& image, Bytes bytes) {
    const PngText text = read_png_text(bytes, picture.string());
    if (const auto entry = text.find(parameters_keyword); entry != text.end())
      found.parameters = entry->second;
    return right_size(image, sampler);
  });
  if (found.whole && options.trajectory)
    found.whole =
        is_whole(*options.outdir / trajectory_file_name(seed, options.subdirs, *options.trajectory),
                 [](const Image&, Bytes) { return true; });
  return found;
}

}  // namespace

std::vector<int64_t> missing_seeds(const GenerateOptions& options, const Sampler& sampler,
                                   const nlohmann::ordered_json& parameters, Progress& progress) {
  const auto count = static_cast<int64_t>(options.seeds.size());
  const int threads = worker_threads(16);
  OrderedWorkers<Found> workers(threads, 4 * threads, count, [&](int64_t i) {
    return look_at(options, sampler, options.seeds[static_cast<size_t>(i)]);
  });
  std::vector<int64_t> missing;
  int64_t silent = 0;
  std::string first_silent;
  progress.start("Checking pictures", count, "image");
  for (const int64_t seed : options.seeds) {
    check_interrupt();
    const Found found = workers.next();
    progress.advance();
    if (!found.whole) missing.push_back(seed);
    if (found.whole && found.parameters.empty() && silent++ == 0)
      first_silent = image_file_name(seed, options.subdirs);
    if (!found.whole || found.parameters.empty()) continue;
    nlohmann::ordered_json expected = parameters;
    if (sampler.label_of_seed) add_label(expected, sampler.label_of_seed(seed));
    const std::string difference = describe_difference(expected, seed, found.parameters);
    if (!difference.empty())
      throw Error("'" + (*options.outdir / image_file_name(seed, options.subdirs)).string() +
                  "' was made with other settings (" + difference +
                  "), and --resume would mix them; choose another --outdir or the same settings");
  }
  progress.finish();
  if (silent > 0)
    progress.message(
        "Note: " + std::to_string(silent) +
        " of the pictures that are kept do not say how they were made, the first is '" +
        first_silent + "'; whether it was with these settings is not checked");
  return missing;
}

void write_grid_from_files(const GenerateOptions& options,
                           const nlohmann::ordered_json& parameters) {
  ContactSheet sheet(static_cast<int64_t>(options.seeds.size()), options.grid_columns);
  for (const int64_t seed : options.seeds) {
    check_interrupt();
    const fs::path file = *options.outdir / image_file_name(seed, options.subdirs);
    const MappedFile mapped(file);
    Image image = decode_image(mapped.bytes(), file.string());
    sheet.add(at::from_blob(image.pixels.data(), {1, image.height, image.width, image.channels},
                            at::kByte)
                  .permute({0, 3, 1, 2}));
  }
  write_file(*options.grid,
             encode_png(sheet.image(), png_for_photographs, sheet_text(options, parameters)));
}

}  // namespace edm2
