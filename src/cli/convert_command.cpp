// edm2 convert: network files between containers.
#include <iostream>

#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/generate/network_source.h"
#include "edm2/nn/convert.h"
#include "edm2/nn/state_report.h"

namespace edm2::cli {
namespace {

struct ConvertArguments {
  ConvertOptions options;
  std::string input;
  std::optional<std::filesystem::path> config;
  std::optional<std::string> like;
};

at::ScalarType parse_type(const std::string& text) {
  if (text == "fp32") return at::kFloat;
  if (text == "fp16") return at::kHalf;
  if (text == "bf16") return at::kBFloat16;
  throw UsageError("'" + text + "' is not one of 'fp32', 'fp16', 'bf16'.");
}

void run_convert(const ConvertArguments& a, CommandContext& context) {
  ConvertOptions options = a.options;
  snapshot_format_for(options.output);  // a wrong name is found before large files are read
  if (a.config) options.weights.config = read_config_file(*a.config);
  if (a.like)
    options.weights.config =
        config_of(open_network_source(*a.like, context.fetch, *context.progress()).description());
  options.input = find_network_file(a.input, context.fetch, *context.progress());
  try {
    convert_snapshot(options, *context.progress());
  } catch (const StateMismatch& mismatch) {
    context.close_progress();
    std::cerr << "These tensors do not match:\n" << mismatch.report().table() << '\n';
    throw;
  }
}

}  // namespace

void add_convert_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand(
      "convert", "Convert a network between .pkl, .safetensors and .pt, bit for bit");
  auto a = std::make_shared<ConvertArguments>();
  ConvertOptions& o = a->options;
  add_text_option(*command, "IN", a->input, "FILE|URL",
                  "Snapshot, state dict or training state; its contents tell its kind")
      ->required();
  add_text_option(*command, "OUT", o.output, "FILE",
                  "Network to write: .safetensors, .pt, or .pkl for the original's tools")
      ->required();
  CLI::Option* config = add_text_option(
      *command, "--config", a->config, "FILE",
      "Configuration of a state dict: JSON of edm2 info --json, or training_options.json");
  CLI::Option* like = add_text_option(*command, "--like", a->like, "FILE|URL",
                                      "Snapshot whose configuration a state dict shares");
  config->excludes(like);
  add_float_option(*command, "--ema", o.weights.ema_std, greater_than(0.0),
                   "Width of the moving average to take from a training state",
                   "the weights being trained");
  add_text_option(*command, "--prefix", o.weights.prefix, "TEXT",
                  "Take the tensors of a state dict whose names begin so", "found by itself");
  add_parsed_option(*command, "--precision", o.precision, parse_type, "TYPE",
                    "Type of the written tensors: fp32, fp16 or bf16", "as stored");
  add_switch(*command, "--fold", o.fold,
             "Bake weight normalisation and gains into the weights, for inference elsewhere");
  add_switch(*command, "--check", o.check,
             "Read the written file again, convert it back, and compare every bit");
  add_fetch_options(*command, context);
  add_progress_options(*command, context);
  command->callback([a, &context] { run_convert(*a, context); });
}

}  // namespace edm2::cli
