#include "train/training_monitor.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>

#include "train/noise_bins.h"

namespace edm2 {

TrainingMonitor::TrainingMonitor(const TrainOptions& options, Precond& network, ProcessGroup& group,
                                 RunLog& log)
    : options_(options),
      network_(network),
      group_(group),
      log_(log),
      gradients_(network, options.on_nonfinite, log),
      norms_(network) {
  if (!options.full_statistics) return;
  // In this order, whichever is drawn first and by whichever process.
  for (int bin = 0; bin < num_noise_bins; ++bin) statistics_.declare(noise_bin_name(bin));
}

void TrainingMonitor::after_forward(const Tensor& loss, const Tensor& sigma) {
  const Tensor losses = loss.detach().flatten(1).mean(1).cpu();  // [n]
  loss_sum_ += losses.sum().item<double>();
  loss_count_ += losses.size(0);
  if (options_.full_statistics) report_loss_by_noise(losses, sigma, statistics_);
}

bool TrainingMonitor::after_backward(int64_t cur_nimg) {
  watch_loss(cur_nimg);
  steps_ += 1;
  const bool move = gradients_.check(cur_nimg);
  if (options_.full_statistics)
    norms_.report("GradNorm/", gradients_.measures(), options_.loss_scaling, statistics_);
  return move;
}

void TrainingMonitor::watch_loss(int64_t cur_nimg) {
  const double share = loss_sum_ / static_cast<double>(loss_count_);
  const double loss = group_.sum(share) / group_.size();
  loss_sum_ = 0;
  loss_count_ = 0;
  const auto spike = spikes_.add(loss);
  if (!spike) return;
  char text[160];
  std::snprintf(text, sizeof text, "Note: the loss is %g in the step at %.3f kimg", spike->loss,
                static_cast<double>(cur_nimg) / 1e3);
  std::string line = text;
  if (spike->expected) {
    std::snprintf(text, sizeof text, "; from the steps before, about %g was expected",
                  *spike->expected);
    line += text;
  }
  log_.line(line);
}

nlohmann::json TrainingMonitor::save() const {
  return {{"statistics", statistics_.save()},
          {"steps", steps_},
          {"spikes", spikes_.save()},
          {"gradients", gradients_.save()}};
}

void TrainingMonitor::restore(const std::vector<nlohmann::json>& saved) {
  std::vector<std::string> collected;
  for (const auto& one : saved) collected.push_back(one.at("statistics").get<std::string>());
  if (options_.full_statistics) statistics_.add_share_of(group_, collected);
  // The same in all processes, for they look at sums over all.
  const auto& any = saved.at(0);
  steps_ = any.at("steps").get<int64_t>();
  spikes_.restore(any.at("spikes"));
  gradients_.restore(any.at("gradients"));
}

NamedValues TrainingMonitor::take_status() {
  const GradientCheck::Counts nonfinite = gradients_.counts();
  gradients_.tell();
  const bool begun = steps_ > 0;
  steps_ = 0;
  NamedValues values;
  if (!options_.full_statistics) return values;
  if (begun) norms_.report_weights(network_, statistics_);
  statistics_.sum_over(group_);
  for (auto& [name, value] : statistics_.take_means())
    if (std::isfinite(value)) values.emplace_back(name, value);
  if (begun) {
    values.emplace_back("Nonfinite/steps", static_cast<double>(nonfinite.steps));
    values.emplace_back("Nonfinite/elements", static_cast<double>(nonfinite.elements));
  }
  return values;
}

}  // namespace edm2
