#include "edm2/ema/thin.h"

#include <algorithm>

#include "edm2/core/error.h"
#include "edm2/ema/snapshots.h"
#include "ema/open_snapshot.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

std::vector<double> default_stds() {
  std::vector<double> stds;
  for (int thousandths = 10; thousandths <= 250; thousandths += 5)
    stds.push_back(thousandths / 1000.0);
  return stds;
}

uint64_t total_size(const fs::path& folder, const std::vector<SnapshotFile>& files) {
  uint64_t bytes = 0;
  for (const SnapshotFile& file : files) {
    std::error_code ignored;
    const auto size = fs::file_size(folder / file.file_name, ignored);
    if (!ignored) bytes += size;
  }
  return bytes;
}

// How many files to keep of those that count.
size_t choose_count(const ThinOptions& options, const ThinPlan& plan) {
  const size_t all = plan.largest_losses.size();
  if (options.keep) {
    if (*options.keep < 1) throw UsageError("--keep must be at least 1");
    return std::min(static_cast<size_t>(*options.keep), all);
  }
  size_t count = all;
  while (count > 1 && plan.largest_losses[count - 2] <= *options.max_loss) --count;
  return count;
}

std::vector<double> errors_of(const std::vector<SnapshotFile>& files,
                              std::span<const EmaProfile> targets) {
  std::vector<double> errors;
  for (const PostHocSolution& solution : solve_posthoc(profiles_of(files), targets))
    errors.push_back(solution.error);
  return errors;
}

}  // namespace

ThinPlan plan_thinning(const fs::path& folder, const ThinOptions& options) {
  if (options.keep.has_value() == options.max_loss.has_value())
    throw UsageError("give one of --keep and --max-error");
  const Snapshots snapshots(folder, options.filter);
  const std::vector<SnapshotFile>& files = snapshots.files();
  ThinPlan plan;
  plan.folder = folder;
  plan.stds = options.stds.empty() ? default_stds() : options.stds;
  std::vector<EmaProfile> targets;
  for (const double std : plan.stds) targets.push_back({snapshots.latest(), std});

  const auto steps = thin_profiles(profiles_of(files), targets);
  plan.rms_losses = plan.largest_losses = {0};  // nothing is lost with all files
  for (const ThinningStep& step : steps) {
    plan.rms_losses.push_back(step.rms_loss);
    plan.largest_losses.push_back(step.largest_loss);
  }
  std::reverse(plan.rms_losses.begin(), plan.rms_losses.end());
  std::reverse(plan.largest_losses.begin(), plan.largest_losses.end());

  std::vector<bool> kept(files.size(), true);
  for (size_t k = 0; k < files.size() - choose_count(options, plan); ++k)
    kept[steps[k].removed] = false;
  for (size_t i = 0; i < files.size(); ++i) (kept[i] ? plan.keep : plan.remove).push_back(files[i]);
  plan.errors_before = errors_of(files, targets);
  plan.errors_after = errors_of(plan.keep, targets);

  // Those of the start of training.
  const SnapshotFilter same{files.front().name.prefix, options.filter.stds};
  for (const SnapshotFile& file : select_snapshots(list_folder(folder), same).files)
    if (file.nimg == 0) plan.remove.insert(plan.remove.begin(), file);
  plan.keep_bytes = total_size(folder, plan.keep);
  plan.remove_bytes = total_size(folder, plan.remove);
  return plan;
}

plot::Figure thinning_figure(const ThinPlan& plan) {
  const auto floored = [](std::vector<double> values) {
    constexpr double floor = 1e-9;  // of what logarithmic axes show
    for (double& value : values) value = std::max(value, floor);
    return values;
  };
  plot::Figure figure;
  figure.title = "Keeping " + std::to_string(plan.keep.size()) + " of " +
                 std::to_string(plan.largest_losses.size()) + " snapshots";
  figure.columns = 2;
  figure.width = 11;
  plot::Axes losses;
  losses.title = "Loss over the number of snapshots";
  losses.x.label = "Snapshots kept";
  losses.y = {.label = "Loss relative to the profile", .scale = plot::Scale::log};
  std::vector<double> counts;
  for (size_t i = 0; i + 1 < plan.largest_losses.size(); ++i)
    counts.push_back(static_cast<double>(i + 1));
  const auto without_last = [](std::vector<double> values) {
    values.pop_back();
    return values;
  };
  losses.add(plot::Series{.label = "largest over the lengths",
                          .x = counts,
                          .y = floored(without_last(plan.largest_losses))});
  losses.add(plot::Series{
      .label = "root mean square", .x = counts, .y = floored(without_last(plan.rms_losses))});
  losses.add(plot::Rule{
      .label = "chosen", .at = static_cast<double>(plan.keep.size()), .horizontal = false});

  plot::Axes errors;
  errors.title = "Expected error of reconstruction";
  errors.x.label = "EMA length \u03c3_{rel}";
  errors.y = {.label = "Error relative to the profile", .scale = plot::Scale::log};
  errors.add(plot::Series{.label = "kept", .x = plan.stds, .y = floored(plan.errors_after)});
  errors.add(plot::Series{.label = "all",
                          .x = plan.stds,
                          .y = floored(plan.errors_before),
                          .style = {.dash = plot::Dash::dashed}});
  figure.axes = {std::move(losses), std::move(errors)};
  return figure;
}

void carry_out(const ThinPlan& plan) {
  open_snapshots(plan.folder, plan.keep, plan.keep.size());
  for (const SnapshotFile& file : plan.remove) {
    std::error_code failed;
    if (!fs::remove(plan.folder / file.file_name, failed) && failed)
      throw Error("cannot delete " + (plan.folder / file.file_name).string() + ": " +
                  failed.message());
  }
}

}  // namespace edm2
