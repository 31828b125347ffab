#include "train/status_report.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/measuring.h"
#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/core/platform.h"
#include "train/noise_bins.h"

namespace edm2 {
StatusReport::StatusReport(const TrainOptions& options, Precond& network, ProcessGroup& group,
                           RunLog& log, double begin)
    : options_(options),
      network_(network),
      group_(group),
      log_(log),
      gradients_(network, options.on_nonfinite, log),
      norms_(network),
      begin_(begin) {
  if (!options.full_statistics) return;
  // In this order, whichever is drawn first and by whichever process.
  for (int bin = 0; bin < num_noise_bins; ++bin) extra_statistics_.declare(noise_bin_name(bin));
}

void StatusReport::after_forward(const Tensor& loss, const Tensor& sigma) {
  statistics_.report("Loss/loss", loss);
  const Tensor losses = loss.detach().flatten(1).mean(1).cpu();  // [n]
  loss_sum_ += losses.sum().item<double>();
  loss_count_ += losses.size(0);
  if (options_.full_statistics) report_loss_by_noise(losses, sigma, extra_statistics_);
}

bool StatusReport::after_backward(int64_t cur_nimg, double learning_rate) {
  statistics_.report("Loss/learning_rate", learning_rate);
  watch_loss(cur_nimg);
  steps_ += 1;
  const bool move = gradients_.check(cur_nimg);
  if (options_.full_statistics)
    norms_.report("GradNorm/", gradients_.measures(), options_.loss_scaling, extra_statistics_);
  return move;
}

void StatusReport::watch_loss(int64_t cur_nimg) {
  const double share = loss_sum_ / static_cast<double>(loss_count_);
  const double loss = group_.sum(share) / group_.size();
  loss_sum_ = 0;
  loss_count_ = 0;
  constexpr int64_t recent_steps = 32;
  if (std::isfinite(loss)) {
    recent_losses_ = std::min(recent_losses_ + 1, recent_steps);
    recent_loss_ += (loss - recent_loss_) / static_cast<double>(recent_losses_);
  }
  const auto spike = spikes_.add(loss);
  if (!spike) return;
  std::string line = "Note: the loss is " + format_number("%g", spike->loss) + " in the step at " +
                     format_number("%.3f kimg", static_cast<double>(cur_nimg) / 1e3);
  if (spike->expected)
    line +=
        "; from the steps before, about " + format_number("%g", *spike->expected) + " was expected";
  log_.line(line);
}

std::string StatusReport::loss_text() const {
  return recent_losses_ == 0 ? "" : format_number("loss %.4g", recent_loss_);
}

/// What the first process reports of the run as a whole.
StatusReport::StatusLine StatusReport::report_figures(const RunProgress& run, double tick,
                                                      double per_kimg) {
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
  const std::string text = line;
  return {text, text.find(" gpumem")};
}

/// log.txt has all the fields of the original's line, and the loss behind them; the user of a CPU
/// is not told of a GPU.
void StatusReport::say(const StatusLine& line, const NamedValues& values) {
  std::string loss;
  for (const auto& [name, value] : values)
    if (name == "Loss/loss" && std::isfinite(value)) loss = format_number(" loss %.4g", value);
  const bool has_gpu = network_.device().is_cuda();
  log_.line((has_gpu ? line.text : line.text.substr(0, line.gpu)) + loss, line.text + loss);
}

StatusReport::Entry StatusReport::take(RunProgress& run) {
  const double now = seconds_now(), tick = now - begin_;
  run.total_elapsed_time += tick;
  const auto images = static_cast<double>(std::max<int64_t>(run.cur_nimg - begin_nimg_, 1));
  const StatusLine line = report_figures(run, tick, training_time_ / images * 1e3);
  reset_peak_device_memory(network_.device());
  statistics_.sum_over(group_);
  Entry entry;
  entry.values = statistics_.take_means();
  say(line, entry.values);
  entry.extra = take_extra();
  if (options_.full_statistics)
    entry.extra.emplace_back("Progress/total_kimg", static_cast<double>(options_.total_nimg) / 1e3);
  entry.line = stats_line(entry.values, unix_time(), entry.extra);
  begin_ = now;
  begin_nimg_ = run.cur_nimg;
  training_time_ = 0;
  return entry;
}

NamedValues StatusReport::take_extra() {
  const GradientCheck::Counts nonfinite = gradients_.counts();
  gradients_.tell();
  const bool begun = steps_ > 0;
  steps_ = 0;
  NamedValues values;
  if (!options_.full_statistics) return values;
  if (begun) norms_.report_weights(network_, extra_statistics_);
  extra_statistics_.sum_over(group_);
  for (auto& [name, value] : extra_statistics_.take_means())
    if (std::isfinite(value)) values.emplace_back(name, value);
  if (begun) {
    values.emplace_back("Nonfinite/steps", static_cast<double>(nonfinite.steps));
    values.emplace_back("Nonfinite/elements", static_cast<double>(nonfinite.elements));
  }
  return values;
}

nlohmann::json StatusReport::save() const {
  const nlohmann::json own = {{"statistics", statistics_.save()},
                              {"monitor",
                               {{"statistics", extra_statistics_.save()},
                                {"steps", steps_},
                                {"spikes", spikes_.save()},
                                {"gradients", gradients_.save()}}}};
  return {{"processes", group_.gather(own.dump())},
          {"status_nimg", begin_nimg_},
          {"seconds_since_status", seconds_now() - begin_},
          {"training_seconds", training_time_}};
}

void StatusReport::restore(const RunProgress& run) {
  begin_nimg_ = run.cur_nimg;
  if (run.more.is_null()) return;  // a state of the original, or none
  try {
    std::vector<std::string> collected, extra;
    std::vector<nlohmann::json> watched;
    for (const auto& text : run.more.at("processes").get<std::vector<std::string>>()) {
      const auto one = nlohmann::json::parse(text);
      collected.push_back(one.at("statistics").get<std::string>());
      watched.push_back(one.at("monitor"));
      extra.push_back(watched.back().at("statistics").get<std::string>());
    }
    statistics_.add_share_of(group_, collected);
    if (options_.full_statistics) extra_statistics_.add_share_of(group_, extra);
    // The same in all processes, for they look at sums over all.
    steps_ = watched.at(0).at("steps").get<int64_t>();
    spikes_.restore(watched[0].at("spikes"));
    gradients_.restore(watched[0].at("gradients"));
    begin_nimg_ = run.more.at("status_nimg").get<int64_t>();
    begin_ -= run.more.at("seconds_since_status").get<double>();
    training_time_ = run.more.at("training_seconds").get<double>();
  } catch (const nlohmann::json::exception& error) {
    throw Error(std::string("cannot resume: the training state's edm2.json makes no sense: ") +
                error.what());
  }
}

}  // namespace edm2
