// Notices when the loss leaves the range that it has been in.
#pragma once

#include <cstddef>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>

namespace edm2 {

/// Compares every step's loss with the median of the steps before it; the yardstick is their median
/// absolute deviation, so that single outliers do not hide the next one.
///
/// What it knows are the losses of the last steps; training never depends on it.
class SpikeDetector {
 public:
  struct Spike {
    double loss = 0;                 ///< of this step; may be NaN or infinite
    std::optional<double> expected;  ///< median of the steps before; none: there were too few
  };
  /// The loss of the next step; a spike when one begins. It lasts until a loss is below the
  /// threshold again.
  std::optional<Spike> add(double loss);

  /// What it knows, for restore() when the run goes on.
  nlohmann::json save() const;
  void restore(const nlohmann::json& saved);

  static constexpr size_t window = 256;  ///< steps that are remembered
  static constexpr size_t least = 32;    ///< steps before anything is noticed
  static constexpr double deviations = 8;

 private:
  std::deque<double> losses_;
  bool in_spike_ = false;
};

}  // namespace edm2
