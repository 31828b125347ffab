/// The commands of the program, one file each.
#pragma once

namespace CLI {
class App;
}

namespace edm2::cli {

class CommandContext;

void add_train_command(CLI::App& app, CommandContext& context);
void add_plot_command(CLI::App& app, CommandContext& context);
void add_generate_command(CLI::App& app, CommandContext& context);
void add_reconstruct_command(CLI::App& app, CommandContext& context);
void add_thin_command(CLI::App& app, CommandContext& context);
void add_sweep_command(CLI::App& app, CommandContext& context);
void add_convert_command(CLI::App& app, CommandContext& context);
void add_info_command(CLI::App& app, CommandContext& context);
void add_flops_command(CLI::App& app, CommandContext& context);
void add_toy_command(CLI::App& app, CommandContext& context);
void add_manual_command(CLI::App& app, CommandContext& context);
void add_completion_command(CLI::App& app, CommandContext& context);
void add_bench_command(CLI::App& app, CommandContext& context);
void add_metrics_command(CLI::App& app, CommandContext& context);
void add_presets_command(CLI::App& app, CommandContext& context);
void add_cache_command(CLI::App& app, CommandContext& context);
void add_dataset_command(CLI::App& app, CommandContext& context);

/// Adds all of them, in the order in which --help lists them.
void add_commands(CLI::App& app, CommandContext& context);

}  // namespace edm2::cli
