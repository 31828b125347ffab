#include "data/latent_measure.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "data/label_file.h"
#include "edm2/core/error.h"
#include "edm2/data/file_source.h"

namespace edm2 {
namespace {
constexpr const char* key = "latent_statistics";
}

void LatentMeasure::add(const Tensor& raw) {
  const auto channels = static_cast<size_t>(raw.size(0) / 2);
  sums_.resize(channels);
  squares_.resize(channels);
  const Tensor parts = raw.to(at::kDouble).flatten(1);  // [2C, H*W]
  const Tensor mean = parts.slice(0, 0, raw.size(0) / 2),
               std = parts.slice(0, raw.size(0) / 2);  // [C, H*W]
  // A drawn latent is mean + std * noise, so its square is mean^2 + std^2 on average.
  const Tensor sum = mean.sum(1), square = (mean.square() + std.square()).sum(1);
  for (size_t c = 0; c < channels; ++c) {
    sums_[c] += sum.const_data_ptr<double>()[c];
    squares_[c] += square.const_data_ptr<double>()[c];
  }
  positions_ += static_cast<double>(parts.size(1));
  ++images_;
}

LatentStatistics LatentMeasure::result() const {
  LatentStatistics statistics{images_, {}, {}};
  for (size_t c = 0; c < sums_.size(); ++c) {
    const double mean = sums_[c] / positions_;
    statistics.mean.push_back(mean);
    statistics.std.push_back(std::sqrt(std::max(squares_[c] / positions_ - mean * mean, 0.0)));
  }
  return statistics;
}

nlohmann::ordered_json to_json(const LatentStatistics& statistics) {
  nlohmann::ordered_json json;
  json[key] = {{"images", statistics.images}, {"mean", statistics.mean}, {"std", statistics.std}};
  return json;
}

std::optional<LatentStatistics> read_latent_statistics(const std::filesystem::path& dataset) {
  const auto source = open_file_source(dataset);
  const auto root = read_label_json(*source, dataset.string());
  if (!root || !root->contains(key)) return std::nullopt;
  const auto& json = (*root)[key];
  const auto numbers = [&](const char* name) {
    std::vector<double> values;
    if (json.is_object() && json.contains(name) && json[name].is_array())
      for (const auto& value : json[name])
        if (value.is_number()) values.push_back(value.get<double>());
    return values;
  };
  LatentStatistics statistics{0, numbers("mean"), numbers("std")};
  if (json.is_object() && json.contains("images") && json["images"].is_number_integer())
    statistics.images = json["images"].get<int64_t>();
  const bool sensible = statistics.mean.size() == 4 && statistics.std.size() == 4 &&
                        std::all_of(statistics.mean.begin(), statistics.mean.end(),
                                    [](double x) { return std::isfinite(x); }) &&
                        std::all_of(statistics.std.begin(), statistics.std.end(),
                                    [](double x) { return std::isfinite(x) && x > 0; });
  if (!sensible)
    throw Error("dataset.json in '" + dataset.string() + "' has " + key +
                " without four means and four positive deviations");
  return statistics;
}

EncoderOptions with_statistics(EncoderOptions vae, const LatentStatistics& statistics) {
  for (size_t c = 0; c < vae.scale.size(); ++c) {
    vae.scale[c] = 0.5f / static_cast<float>(statistics.std.at(c));
    vae.bias[c] = 0.0f - static_cast<float>(statistics.mean.at(c)) * vae.scale[c];
  }
  return vae;
}

EncoderOptions with_measured_statistics(EncoderOptions encoder,
                                        const std::filesystem::path& dataset) {
  if (encoder.kind != EncoderOptions::Kind::stability_vae) return encoder;
  const auto statistics = read_latent_statistics(dataset);
  return statistics ? with_statistics(std::move(encoder), *statistics) : encoder;
}

}  // namespace edm2
