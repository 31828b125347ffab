#include "edm2/data/latents.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "data/latent_measure.h"
#include "data/partial_dataset.h"
#include "data/picture_source.h"
#include "data/training_view.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/data/encoder.h"
#include "edm2/io/digest.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

using Bytes = std::span<const std::byte>;

/// How one item is made, and what the results are called.
struct Work {
  const char* name;
  const char* title;
  const char* stem;
  const char* extension;
  std::function<std::vector<std::byte>(const PictureSource&, size_t, const Encoder&)> make;
  std::function<bool(Bytes)> is_whole;
};

std::vector<std::byte> encode_one(const PictureSource& source, size_t index,
                                  const Encoder& encoder) {
  const Image image = source.decode(index, Channels::rgb);
  const Tensor pixels = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                      {1, image.height, image.width, 3}, at::kByte)
                            .permute({0, 3, 1, 2})
                            .contiguous();                    // [1,3,H,W]
  const Tensor raw = encoder.encode_pixels(pixels).cpu()[0];  // [8,H/8,W/8]
  const std::string bytes = npy_bytes(raw);
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

std::vector<std::byte> decode_one(const PictureSource& source, size_t index, const Encoder& encoder,
                                  int64_t seed) {
  const Tensor raw = as_latents(read_npy(source.read(index), source.items()[index].name));
  const int64_t channels = encoder.raw_channels();
  if (raw.dim() != 3 || raw.size(0) != channels || raw.scalar_type() != at::kFloat ||
      raw.numel() == 0)
    throw Error(
        "these latents are " + shape_text(raw.sizes().vec()) + " values of type " +
        c10::toString(raw.scalar_type()) + "; needed are " + std::to_string(channels) +
        " x height x width of floating-point numbers, as 'edm2 dataset encode' writes them");
  // On the CPU whatever the VAE's device, so that the picture is the same.
  const std::vector<int64_t> seeds = {seed + static_cast<int64_t>(index)};
  StackedGenerator random(at::kCPU, seeds);
  const Tensor latents = encoder.encode_latents(
      raw.unsqueeze(0), [&](const Tensor& like) { return random.randn_like(like); });
  return encode_png(to_image(encoder.decode(latents)[0]), /*compression_level=*/0);
}

bool is_whole_npy(Bytes bytes) {
  try {
    read_npy(bytes);
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool is_whole_png(Bytes bytes) {
  constexpr std::string_view end("IEND\xae\x42\x60\x82", 8);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.ends_with(end);
}

void check_options(const LatentOptions& options) {
  if (options.max_images && *options.max_images < 1)
    throw UsageError("Invalid value for '--max-images': " + std::to_string(*options.max_images) +
                     " is not in the range x>=1.");
  check_destination(options.dest);
  if (is_tar_name(options.dest))
    throw Error("--dest must be a folder or a zip archive here, not a tar archive");
}

std::unique_ptr<Encoder> load_encoder(const LatentOptions& options, Progress& progress) {
  EncoderOptions encoder = stability_vae_options();
  EncoderSetup setup;
  setup.fetch = options.fetch;
  setup.device = select_device(options.device);
  setup.batch_size = 1;
  if (fs::exists(options.vae) || options.vae.find("://") != std::string::npos)
    setup.vae = options.vae;
  else
    encoder.vae_name = options.vae;
  auto result = make_encoder(encoder, std::move(setup));
  result->load(progress);
  return result;
}

/// What the results depend on, so that nothing of another run is taken over.
nlohmann::json describe(const Work& work, const LatentOptions& options, const PictureSource& source,
                        const Encoder& encoder) {
  std::string names;
  for (const auto& item : source.items()) names += item.name + '\n';
  nlohmann::json note = {
      {"work", work.name},
      {"source", fs::absolute(options.source.path).lexically_normal().string()},
      {"names", sha256_hex(std::as_bytes(std::span(names)))},
      {"max-images", options.max_images ? nlohmann::json(*options.max_images) : nullptr},
      {"device", select_device(options.device).is_cuda() ? "cuda" : "cpu"}};
  if (const auto file = encoder.weights_file()) note["vae"] = sha256_of_file(*file);
  if (std::string_view(work.name) == "decode") note["seed"] = options.seed;
  return note;
}

nlohmann::json to_json(const std::vector<FileProblem>& problems) {
  auto list = nlohmann::json::array();
  for (const FileProblem& problem : problems) list.push_back({problem.name, problem.reason});
  return list;
}

/// The share of this process.
struct Share {
  std::vector<FileProblem> problems;
  int64_t kept = 0;
};

Share make_share(const Work& work, const LatentOptions& options, const PictureSource& source,
                 const Encoder& encoder, const PartialDataset& partial, int64_t end,
                 Progress& progress, ProcessGroup& group) {
  Share share;
  progress.start(work.title, (end - group.rank() + group.size() - 1) / group.size(), "image");
  for (int64_t index = group.rank(); index < end; index += group.size(), progress.advance()) {
    check_interrupt();
    group.check();
    const std::string name = dataset_name(index, work.stem, work.extension);
    const std::string& item = source.items()[static_cast<size_t>(index)].name;
    if (partial.has(name, work.is_whole)) {
      ++share.kept;
      continue;
    }
    std::vector<std::byte> bytes;
    try {
      bytes = work.make(source, static_cast<size_t>(index), encoder);
    } catch (const Error& error) {
      const std::string reason = error.what();
      const bool named = reason.find(item) != std::string::npos;
      const std::string message = named ? reason : "'" + item + "': " + reason;
      if (options.on_error == OnError::stop) throw Error(message);
      share.problems.push_back({item, message});
      continue;
    }
    partial.put(name, bytes);
  }
  progress.finish();
  return share;
}

/// Makes the destination, in the first process.
void assemble(const Work& work, const LatentOptions& options, const PictureSource& source,
              const PartialDataset& partial, int64_t end, LatentResult& result,
              Progress& progress) {
  std::unordered_set<std::string> left_out;
  for (const FileProblem& problem : result.problems) left_out.insert(problem.name);
  LabelList items;
  for (int64_t index = 0; index < end; ++index) {
    const auto& item = source.items()[static_cast<size_t>(index)];
    if (!left_out.contains(item.name))
      items.push_back({dataset_name(index, work.stem, work.extension), item.label});
  }
  if (items.empty())
    throw Error("nothing in '" + options.source.path +
                "' could be used; the first: " + result.problems.front().reason);
  result.written = static_cast<int64_t>(items.size());
  LatentMeasure measure;
  progress.start("Writing", result.written, "image");
  partial.finish(
      items,
      [&](Bytes bytes) {
        if (options.measure) measure.add(read_npy(bytes));
        progress.advance();
      },
      [&] {
        return options.measure ? to_json(measure.result()) : nlohmann::ordered_json::object();
      });
  progress.finish();
}

LatentResult run(const Work& work, const LatentOptions& options, Progress& progress,
                 ProcessGroup& group) {
  check_options(options);
  SourceOptions source_options = options.source;
  source_options.on_error = options.on_error;
  const auto source = open_picture_source(source_options);
  if (group.is_main()) report_notes(*source, progress);
  if (!source->refused().empty() && options.on_error == OnError::stop)
    throw Error("'" + source->refused().front().name + "' in '" + options.source.path +
                "' is refused: " + source->refused().front().reason);
  const auto count = static_cast<int64_t>(source->items().size());
  if (count == 0)
    throw Error("there are no " +
                std::string(options.source.content == SourceContent::latents
                                ? "latents (.npy files)"
                                : "pictures") +
                " in '" + options.source.path + "'");
  const int64_t end = std::min(options.max_images.value_or(count), count);

  for (const std::string& note : {missing_labels_note(*source, end, /*beside_pictures=*/false),
                                  useless_labels_note(*source, end)})
    if (group.is_main() && !note.empty()) progress.message("Note: " + note);

  const auto encoder = group.main_first([&] { return load_encoder(options, progress); });
  const auto partial = group.main_first([&] {
    return std::make_unique<PartialDataset>(options.dest,
                                            describe(work, options, *source, *encoder));
  });
  Share share = make_share(work, options, *source, *encoder, *partial, end, progress, group);

  LatentResult result;
  result.kept = static_cast<int64_t>(group.sum(static_cast<double>(share.kept)));
  for (const std::string& text : group.gather(to_json(share.problems).dump()))
    for (const auto& problem : nlohmann::json::parse(text))
      result.problems.push_back({problem[0], problem[1]});
  if (group.is_main()) {
    assemble(work, options, *source, *partial, end, result, progress);
    result.problems.insert(result.problems.begin(), source->refused().begin(),
                           source->refused().end());
  }
  group.barrier();
  return result;
}

}  // namespace

LatentResult encode_dataset(const LatentOptions& options, Progress& progress, ProcessGroup& group) {
  LatentOptions checked = options;
  checked.source.content = SourceContent::pictures;
  return run({"encode", "Encoding", "img-mean-std-", ".npy", encode_one, is_whole_npy}, checked,
             progress, group);
}

LatentResult decode_dataset(const LatentOptions& options, Progress& progress, ProcessGroup& group) {
  LatentOptions checked = options;
  checked.source.content = SourceContent::latents;
  checked.measure = false;
  const auto make = [&](const PictureSource& source, size_t index, const Encoder& encoder) {
    return decode_one(source, index, encoder, options.seed);
  };
  return run({"decode", "Decoding", "img", ".png", make, is_whole_png}, checked, progress, group);
}

}  // namespace edm2
