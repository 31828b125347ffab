#include "train/status_report.h"

#include <chrono>
#include <cstdio>

#include "core/measuring.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace {

double unix_time() {
  using std::chrono::duration;
  return duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

StatusReport::StatusReport(const TrainOptions& options, Precond& network, ProcessGroup& group,
                           RunLog& log, double begin)
    : network_(network),
      group_(group),
      log_(log),
      monitor_(options, network, group, log),
      begin_(begin) {}

void StatusReport::after_forward(const Tensor& loss, const Tensor& sigma) {
  statistics_.report("Loss/loss", loss);
  monitor_.after_forward(loss, sigma);
}

bool StatusReport::after_backward(int64_t cur_nimg, double learning_rate) {
  statistics_.report("Loss/learning_rate", learning_rate);
  return monitor_.after_backward(cur_nimg);
}

/// What the first process says of the run as a whole.
void StatusReport::say(const RunProgress& run, double tick, double per_kimg) {
  constexpr double gib = 1 << 30;
  const double maintenance = tick - training_time_;
  const double cpu = static_cast<double>(resident_memory()) / gib;
  const DeviceMemory gpu = peak_device_memory(network_.device());
  const double kimg = static_cast<double>(run.cur_nimg) / 1e3;
  const std::pair<const char*, double> values[] = {
      {"Progress/kimg", kimg},
      {"Timing/total_sec", run.total_elapsed_time},
      {"Timing/sec_per_tick", tick},
      {"Timing/sec_per_kimg", per_kimg},
      {"Timing/maintenance_sec", maintenance},
      {"Resources/cpu_mem_gb", cpu},
      {"Resources/peak_gpu_mem_gb", gpu.peak_allocated / gib},
      {"Resources/peak_gpu_mem_reserved_gb", gpu.peak_reserved / gib}};
  for (const auto& [name, value] : values) {
    if (group_.is_main())
      statistics_.report(name, value);
    else
      statistics_.declare(name);
  }
  char line[256];
  std::snprintf(line, sizeof line,
                "Status: kimg %-9.1f time %-12s sec/tick %-8.2f sec/kimg %-7.3f maintenance %-7.2f "
                "cpumem %-6.2f gpumem %-6.2f reserved %-6.2f",
                kimg, format_duration(run.total_elapsed_time).c_str(), tick, per_kimg, maintenance,
                cpu, gpu.peak_allocated / gib, gpu.peak_reserved / gib);
  log_.line(line);
}

StatusReport::Entry StatusReport::take(RunProgress& run) {
  const double now = seconds_now(), tick = now - begin_;
  run.total_elapsed_time += tick;
  const auto images = static_cast<double>(std::max<int64_t>(run.cur_nimg - begin_nimg_, 1));
  say(run, tick, training_time_ / images * 1e3);
  reset_peak_device_memory(network_.device());
  statistics_.sum_over(group_);
  Entry entry{.values = statistics_.take_means(), .extra = monitor_.take_status(), .line = {}};
  entry.line = stats_line(entry.values, unix_time(), entry.extra);
  begin_ = now;
  begin_nimg_ = run.cur_nimg;
  training_time_ = 0;
  return entry;
}

nlohmann::json StatusReport::save() const {
  const nlohmann::json own = {{"statistics", statistics_.save()}, {"monitor", monitor_.save()}};
  return {{"processes", group_.gather(own.dump())},
          {"status_nimg", begin_nimg_},
          {"seconds_since_status", seconds_now() - begin_},
          {"training_seconds", training_time_}};
}

void StatusReport::restore(const RunProgress& run) {
  begin_nimg_ = run.cur_nimg;
  if (run.more.is_null()) return;  // a state of the original, or none
  try {
    std::vector<std::string> collected;
    std::vector<nlohmann::json> watched;
    for (const auto& text : run.more.at("processes").get<std::vector<std::string>>()) {
      const auto one = nlohmann::json::parse(text);
      collected.push_back(one.at("statistics").get<std::string>());
      watched.push_back(one.at("monitor"));
    }
    statistics_.add_share_of(group_, collected);
    monitor_.restore(watched);
    begin_nimg_ = run.more.at("status_nimg").get<int64_t>();
    begin_ -= run.more.at("seconds_since_status").get<double>();
    training_time_ = run.more.at("training_seconds").get<double>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(std::string("cannot resume: the training state's edm2.json makes no sense: ") +
                error.what());
  }
}

}  // namespace edm2
