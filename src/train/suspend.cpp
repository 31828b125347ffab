#include "train/suspend.h"

#include <cstring>

#include "edm2/core/platform.h"
#include "edm2/train/statistics.h"

namespace edm2 {

SuspendRequest::SuspendRequest(std::optional<double> seconds) : seconds_(seconds) {}

std::string SuspendRequest::reason(ProcessGroup& group, bool begun) const {
  constexpr int time_is_over = -1, none = -2;
  using Seconds = std::chrono::duration<double>;
  const auto passed = Seconds(std::chrono::steady_clock::now() - begin_).count();
  int own = begun && seconds_ && passed >= *seconds_ ? time_is_over : none;
  if (const int signal = pending_signal(); signal != 0) own = signal;
  const auto common = static_cast<int>(group.max(own));
  if (common == none) return "";
  if (common == time_is_over) return "after " + format_duration(*seconds_);
  return "by signal " + std::to_string(common) + " (" + strsignal(common) + ")";
}

}  // namespace edm2
