#include "cli/commands.h"

namespace edm2::cli {

void add_commands([[maybe_unused]] CLI::App& app, [[maybe_unused]] CommandContext& context) {
  // One line per command, in the order of a user's work: dataset, train, generate, convert.
  add_dataset_command(app, context);
}

}  // namespace edm2::cli
