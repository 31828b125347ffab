// edm2 thin: which snapshots of a run can be deleted.
#include <iostream>

#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/core/format_number.h"
#include "edm2/ema/thin.h"

namespace edm2::cli {
namespace {

struct ThinArguments {
  ThinOptions options;
  std::filesystem::path folder;
  std::optional<std::filesystem::path> plot;
  bool remove = false;
};

std::string percent(double fraction) { return format_number("%.3g %%", 100 * fraction); }

std::string gigabytes(uint64_t bytes) {
  return format_number("%.3g GB", static_cast<double>(bytes) / 1e9);
}

void run_thin(const ThinArguments& a, CommandContext& context) {
  if (a.plot) plot::check_figure_path(*a.plot);
  const ThinPlan plan = plan_thinning(a.folder, a.options);
  std::cout << "Keep " << plan.keep.size() << " snapshots (" << gigabytes(plan.keep_bytes)
            << "):\n";
  for (const SnapshotFile& file : plan.keep) std::cout << "    " << file.file_name << '\n';
  std::cout << "Delete " << plan.remove.size() << " snapshots (" << gigabytes(plan.remove_bytes)
            << "):\n";
  for (const SnapshotFile& file : plan.remove) std::cout << "    " << file.file_name << '\n';
  std::cout << "Loss over the EMA lengths: " << percent(plan.largest_loss()) << " at most, "
            << percent(plan.rms_loss()) << " root mean square" << std::endl;
  const auto progress = context.progress();
  if (a.plot) {
    plot::save_figure(*a.plot, thinning_figure(plan));
    progress->message("Saved " + a.plot->string());
  }
  if (!a.remove) {
    progress->message("Dry run; nothing is deleted without --delete.");
    return;
  }
  carry_out(plan);
  progress->message("Deleted " + std::to_string(plan.remove.size()) + " snapshots.");
}

}  // namespace

void add_thin_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "thin", "Find out which snapshots of a run can be deleted, and delete them");
  auto a = std::make_shared<ThinArguments>();
  add_text_option(*command, "RUN", a->folder, "DIR", "Folder of the snapshots")->required();
  CLI::Option* keep = add_int_option(*command, "--keep", a->options.keep, at_least(int64_t{1}),
                                     "How many snapshots to keep");
  CLI::Option* max_loss =
      add_float_option(*command, "--max-error", a->options.max_loss, at_least(0.0),
                       "Keep so many that no EMA length becomes less accurate by more than this; "
                       "0.01 is 1 % of the weights' profile");
  keep->excludes(max_loss);
  add_parsed_option(*command, "--stds", a->options.stds, parse_std_list, "LIST",
                    "EMA lengths that are wanted later", "0.010,0.015,...,0.250");
  add_text_option(*command, "--inprefix", a->options.filter.prefix, "PREFIX",
                  "Only snapshots PREFIX-KIMG-STD", "network-snapshot if there are several");
  add_text_option(*command, "--plot", a->plot, "FILE",
                  "Plot of the loss over the number of snapshots (.svg or .png)");
  add_switch(*command, "--delete", a->remove, "Delete them; otherwise only tell");
  add_progress_options(*command, context);
  command->callback([a, &context] {
    require_single_process();
    run_thin(*a, context);
  });
}

}  // namespace edm2::cli
