#include "train/spike_detector.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace edm2 {
namespace {

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::optional<SpikeDetector::Spike> SpikeDetector::add(double loss) {
  std::optional<Spike> spike;
  if (losses_.size() >= least) {
    const double expected = median_of({losses_.begin(), losses_.end()});
    std::vector<double> distances;
    for (const double value : losses_) distances.push_back(std::abs(value - expected));
    const double deviation =
        1.4826 * median_of(std::move(distances));  // that of a normal distribution
    // Losses that hardly vary still may by some per cent.
    const double threshold =
        expected + std::max(deviations * deviation, 0.1 * std::max(std::abs(expected), 0.1));
    const bool high = !(loss <= threshold);
    if (high && !in_spike_) spike = Spike{loss, expected};
    in_spike_ = high;
  } else if (!std::isfinite(loss)) {
    if (!in_spike_) spike = Spike{loss, std::nullopt};
    in_spike_ = true;
  }
  if (std::isfinite(loss)) {
    losses_.push_back(loss);
    if (losses_.size() > window) losses_.pop_front();
  }
  return spike;
}

nlohmann::json SpikeDetector::save() const {
  return {{"losses", losses_}, {"in_spike", in_spike_}};
}

void SpikeDetector::restore(const nlohmann::json& saved) {
  losses_ = saved.at("losses").get<std::deque<double>>();
  if (losses_.size() > window) losses_.resize(window);
  in_spike_ = saved.at("in_spike").get<bool>();
}

}  // namespace edm2
