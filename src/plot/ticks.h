// Where an axis has its ticks and what they say.
#pragma once

#include <string>
#include <vector>

namespace edm2::plot {

struct Ticks {
  std::vector<double> positions;
  std::vector<std::string> labels;
  std::vector<double> minor;  ///< without labels
  std::string factor;         ///< "×10^{6}": all labels are to be multiplied by it; often empty
};

/// At most `max_count` (at least 2) round numbers within [low, high].
Ticks linear_ticks(double low, double high, int max_count);

/// Powers of ten, or 1-2-5 steps where there are few of them; 0 < low < high.
Ticks log_ticks(double low, double high, int max_count);

}  // namespace edm2::plot
