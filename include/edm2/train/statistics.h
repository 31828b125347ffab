/// Training statistics: what goes into stats.jsonl and the status line.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Collects moments of named quantities between two status times.
///
/// Every report is taken to float32; elements whose square is not finite are dropped; sums of one
/// report are float32 and accumulate in float64, as in the original.
class Statistics {
 public:
  void report(const std::string& name, const Tensor& values);
  void report(const std::string& name, double value);

  /// One line of stats.jsonl with the means since the last call, in the order of first report, and
  /// the time stamp (Unix seconds). Means without data print as NaN, as in the original.
  std::string flush(double timestamp);

 private:
  struct Moments {
    std::string name;
    double count = 0, sum = 0;
  };
  Moments& moments(const std::string& name);

  std::vector<Moments> all_;
};

/// "59s", "1m 01s", "1h 00m 00s", "1d 00h 00m".
std::string format_duration(double seconds);

}  // namespace edm2
