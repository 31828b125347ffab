#include "train/training_data.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/data/latents.h"

namespace edm2 {
namespace {

std::string short_number(double value) { return format_number("%.3g", value); }

/// Resolutions of the levels as in --attn-resolutions, from the third level on as in the presets.
std::string usual_attention(const NetworkOptions& network) {
  std::string text;
  const size_t levels = network.channel_mult.size();
  for (size_t level = std::min<size_t>(2, levels - 1); level < levels; ++level)
    text += (text.empty() ? "" : ",") + std::to_string(network.img_resolution >> level);
  return text;
}

void note_lost_attention(const NetworkOptions& network, std::vector<std::string>& notes) {
  const auto& wanted = network.attn_resolutions;
  std::string list;
  for (const int64_t resolution : wanted) {
    for (size_t level = 0; level < network.channel_mult.size(); ++level)
      if (network.img_resolution >> level == resolution) return;
    list += (list.empty() ? "" : ", ") + std::to_string(resolution);
  }
  if (wanted.empty()) return;
  notes.push_back("images of " + std::to_string(network.img_resolution) +
                  " pixels give the network no level of resolution " + list +
                  ", so only its innermost block has attention; --attn-resolutions=" +
                  usual_attention(network) + " gives it more");
}

/// The network expects a deviation of sigma_data (0.5) around 0.
void note_scale(const ImageDataset& dataset, const EncoderOptions& encoder, double sigma_data,
                std::vector<std::string>& notes) {
  const bool plain = encoder.kind == EncoderOptions::Kind::none;
  if (!plain && (encoder.kind != EncoderOptions::Kind::rgb || dataset.image_type() == at::kByte))
    return;
  double sum = 0, largest = 0;
  const int64_t count = std::min<int64_t>(dataset.size(), 64);
  for (int64_t i = 0; i < count; ++i) {
    const Tensor image = dataset.item(i * dataset.size() / count).image.to(at::kFloat);
    sum += image.square().mean().item<double>();
    largest = std::max(largest, image.abs().max().item<double>());
  }
  const double rms = std::sqrt(sum / static_cast<double>(count));
  if (plain && (rms < sigma_data / 2 || rms > sigma_data * 2))
    notes.push_back("the dataset's numbers have a root mean square of " + short_number(rms) +
                    ", the network is made for about " + short_number(sigma_data) + "; scale them");
  if (!plain && largest < 32)
    notes.push_back("the dataset's float32 images are taken as pixels from 0 to 255, but none of " +
                    std::to_string(count) + " has a value beyond " + short_number(largest) +
                    "; --encoder=none takes them as they are");
}

/// Throws Error if the labels are of another kind than the user says.
void check_label_kind(const ImageDataset& dataset, std::optional<LabelKind> wanted) {
  if (!wanted || *wanted == dataset.label_kind()) return;
  if (*wanted == LabelKind::classes)
    throw Error("--cond=class, but the dataset's labels are vectors of numbers; use --cond=vector");
  throw Error("--cond=vector, but the dataset's labels are classes; use --cond=class");
}

}  // namespace

void TrainingData::load(TrainOptions& options) {
  try {
    dataset = std::make_unique<ImageDataset>(ImageDatasetOptions{.path = options.data,
                                                                 .use_labels = options.use_labels,
                                                                 .max_size = options.max_size,
                                                                 .xflip = options.xflip});
  } catch (const Error& error) {
    throw Error(std::string("--data: ") + error.what());
  }
  if (options.use_labels && dataset->label_dim() == 0)
    throw Error("--cond=True, but no labels found in the dataset; label it or use --cond=False");
  check_label_kind(*dataset, options.label_kind);
  const auto& shape = dataset->image_shape();
  const auto chosen = with_measured_statistics(
      choose_encoder(options.encoder, shape[0], dataset->image_type()), options.data);
  encoder = make_encoder(chosen);
  if (shape[1] != shape[2])
    throw Error("--data: the images are not square; convert the dataset with a crop first");
  auto& net = options.network;
  const bool has_deviations =
      chosen.kind == EncoderOptions::Kind::stability_vae && shape[0] == encoder->raw_channels();
  net.img_channels = has_deviations ? shape[0] / 2 : shape[0];
  net.img_resolution = shape[1];
  net.label_dim = dataset->label_dim();
}

void TrainingData::start(const TrainOptions& options, const ProcessGroup& group, int64_t cur_nimg,
                         int64_t batch_gpu) {
  loader.reset();
  loader = std::make_unique<PrefetchLoader>(
      *dataset,
      InfiniteSampler(dataset->size(), group.rank(), group.size(), options.seed, cur_nimg),
      batch_gpu, options.data_threads);
}

std::vector<std::string> TrainingData::notes(const NetworkOptions& network) const {
  std::vector<std::string> notes = dataset->notes();
  note_lost_attention(network, notes);
  note_scale(*dataset, encoder->options(), network.sigma_data, notes);
  if (dataset->label_kind() == LabelKind::vectors) {
    const double length = dataset->label_length();
    if (length < 0.5 || length > 2)
      notes.push_back("the label vectors have a length of " + short_number(length) +
                      " (root mean square), the network is made for about 1, that of one-hot "
                      "vectors; scale them");
  }
  return notes;
}

}  // namespace edm2
