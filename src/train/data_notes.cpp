#include "train/data_notes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

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

}  // namespace

void check_label_kind(const ImageDataset& dataset, std::optional<LabelKind> wanted) {
  if (!wanted || *wanted == dataset.label_kind()) return;
  if (*wanted == LabelKind::classes)
    throw Error("--cond=class, but the dataset's labels are vectors of numbers; use --cond=vector");
  throw Error("--cond=vector, but the dataset's labels are classes; use --cond=class");
}

std::vector<std::string> notes_on_data(const ImageDataset& dataset, const EncoderOptions& encoder,
                                       const NetworkOptions& network) {
  std::vector<std::string> notes = dataset.notes();
  note_lost_attention(network, notes);
  note_scale(dataset, encoder, network.sigma_data, notes);
  if (dataset.label_kind() == LabelKind::vectors) {
    const double length = dataset.label_length();
    if (length < 0.5 || length > 2)
      notes.push_back("the label vectors have a length of " + short_number(length) +
                      " (root mean square), the network is made for about 1, that of one-hot "
                      "vectors; scale them");
  }
  return notes;
}

}  // namespace edm2
