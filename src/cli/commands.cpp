#include "cli/commands.h"

namespace edm2::cli {

void add_commands(CLI::App& app, CommandContext& context) {
  // In the order of a user's work.
  add_dataset_command(app, context);
  add_train_command(app, context);
  add_plot_command(app, context);
  add_generate_command(app, context);
  add_reconstruct_command(app, context);
  add_thin_command(app, context);
  add_sweep_command(app, context);
  add_metrics_command(app, context);
  add_presets_command(app, context);
  add_convert_command(app, context);
  add_cache_command(app, context);
  add_info_command(app, context);
  add_flops_command(app, context);
  add_toy_command(app, context);
  add_manual_command(app, context);
  add_completion_command(app, context);
  add_bench_command(app, context);
}

}  // namespace edm2::cli
