// When a run stops before its end, to go on later.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "edm2/core/process_group.h"

namespace edm2 {

/// A signal, or the time that the run was given.
class SuspendRequest {
 public:
  /// The time counts from now on; `seconds`: none = no limit.
  explicit SuspendRequest(std::optional<double> seconds);

  /// "by signal 15 (Terminated)", "after 3h 50m 00s"; empty as long as the run may go on. The time
  /// counts only when this start of the run has `begun` to take steps, so that it gets somewhere
  /// however short the time. All processes call it, and what holds for one holds for all.
  std::string reason(ProcessGroup& group, bool begun) const;

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::optional<double> seconds_;
};

}  // namespace edm2
