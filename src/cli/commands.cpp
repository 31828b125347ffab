#include "cli/commands.h"

namespace edm2::cli {

void add_commands(CLI::App& app, CommandContext& context) {
  // In the order of a user's work.
  add_dataset_command(app, context);
  add_train_command(app, context);
  add_generate_command(app, context);
  add_metrics_command(app, context);
  add_presets_command(app, context);
  add_convert_command(app, context);
  add_cache_command(app, context);
  add_info_command(app, context);
}

}  // namespace edm2::cli
