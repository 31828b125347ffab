// edm2 convert: snapshots between containers.
#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/nn/snapshot.h"

namespace edm2::cli {
namespace {

struct ConvertArguments {
  std::filesystem::path input, output;
};

void run(const ConvertArguments& a, CommandContext& context) {
  const auto progress = context.progress();
  progress->message("Loading " + a.input.string() + " ...");
  const Snapshot snapshot = load_snapshot(a.input);
  save_snapshot(a.output, snapshot, snapshot_format_for(a.output));
  progress->message("Saved " + a.output.string() + " (" + std::to_string(snapshot.tensors.size()) +
                    " tensors)");
}

}  // namespace

void add_convert_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "convert", "Convert a network snapshot between .pkl and .safetensors, bit for bit");
  auto a = std::make_shared<ConvertArguments>();
  add_text_option(*command, "IN", a->input, "FILE", "Snapshot to read; its contents tell its kind")
      ->required();
  add_text_option(*command, "OUT", a->output, "FILE",
                  "Snapshot to write: .safetensors, or .pkl for the original's tools")
      ->required();
  add_progress_options(*command, context);
  command->callback([a, &context] { run(*a, context); });
}

}  // namespace edm2::cli
