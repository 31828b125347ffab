/// Training statistics: what goes into stats.jsonl and the status line.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/core/tensor.h"

namespace edm2 {

/// Numbers by name, in order.
using NamedValues = std::vector<std::pair<std::string, double>>;

/// Collects moments of named quantities between two status times.
///
/// Every report is taken to float32; elements whose square is not finite are dropped; sums of one
/// report are float32 and accumulate in float64, as in the original.
class Statistics {
 public:
  /// Adds values, of any shape, to those of that name.
  void report(const std::string& name, const Tensor& values);
  void report(const std::string& name, double value);

  /// A quantity that only the first process reports: the others name it here, at the same place.
  void declare(const std::string& name) { moments(name); }
  /// Adds what the other processes have reported; all of them call it. Throws Error if they know
  /// other quantities.
  void sum_over(ProcessGroup& group);

  /// The means since the last call, in the order of first report; NaN where there is no data.
  NamedValues take_means();

  /// Everything collected so far, exactly, for add().
  std::string save() const;
  /// Adds what save() gave. Throws Error if that makes no sense.
  void add(const std::string& saved);
  /// Adds what this process takes of what others have saved, which is given in the order of their
  /// ranks: its own part, or all of it in the first process if there were more or fewer then.
  void add_share_of(const ProcessGroup& group, const std::vector<std::string>& saved);

 private:
  struct Moments {
    std::string name;
    double count = 0, sum = 0;
  };
  Moments& moments(const std::string& name);

  std::vector<Moments> all_;
};

/// One line of stats.jsonl as the original writes it: the values, then the time stamp (Unix
/// seconds); numbers that are not finite print as NaN. `extra`: keys of our own, behind those.
std::string stats_line(const NamedValues& values, double timestamp, const NamedValues& extra = {});

/// "59s", "1m 01s", "1h 00m 00s", "1d 00h 00m".
std::string format_duration(double seconds);

}  // namespace edm2
