// The run's TensorBoard event file.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "edm2/io/event_file.h"
#include "edm2/train/statistics.h"
#include "train/run_log.h"

namespace edm2 {

/// An event file that is created when there is something to write. If it cannot be written the log
/// says so, once, and the run goes on without it.
class EventLog {
 public:
  /// `start_nimg`: where this start of the run began. `log` must outlive this.
  EventLog(std::filesystem::path folder, int64_t start_nimg, bool enabled, RunLog& log);

  /// Values that are not finite are left out.
  void add(int64_t nimg, const NamedValues& values);
  void add(int64_t nimg, const std::string& tag, const Image& image,
           std::span<const std::byte> png);

 private:
  void write(const std::function<void(EventFile&, double now)>& work);

  std::filesystem::path folder_;
  int64_t start_nimg_;
  bool enabled_;
  RunLog& log_;
  std::unique_ptr<EventFile> file_;
};

}  // namespace edm2
