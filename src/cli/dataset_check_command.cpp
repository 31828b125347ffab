// edm2 dataset check and show.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/dataset_options.h"
#include "edm2/data/check.h"
#include "edm2/io/atomic_file.h"

namespace edm2::cli {
namespace {

struct CheckArguments {
  SourceOptions source;
  bool json = false;
};

struct ShowArguments {
  ShowOptions options;
  std::string grid;
  std::optional<std::string> vae;
};

void run_check(CheckArguments a, CommandContext& context) {
  Progress& progress = *context.progress();
  a.source.path = resolve_source(a.source.path, context.fetch, progress).string();
  const DatasetReport report = check_dataset(a.source, /*threads=*/0, progress);
  context.close_progress();
  const std::string text =
      a.json ? to_json(report).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
             : to_text(report);
  std::cout << text << std::flush;
  if (!report.broken.empty())
    throw ProgramEnd{
        1, std::to_string(report.broken.size()) + " broken files in '" + report.path + "'"};
  if (report.pictures + report.latents == 0)
    throw ProgramEnd{1, "there are no pictures in '" + report.path + "'" + report.instead};
}

void run_show(ShowArguments a, CommandContext& context) {
  Progress& progress = *context.progress();
  a.options.source.path = resolve_source(a.options.source.path, context.fetch, progress).string();
  EncoderSetup setup;
  setup.vae = a.vae.value_or("");
  setup.fetch = context.fetch;
  setup.device = select_device(context.device_name);
  const auto encoder = make_encoder(stability_vae_options(), setup);
  const Image sheet = show_dataset(a.options, *encoder, a.vae.has_value(), progress);
  write_file(a.grid, encode_png(sheet, png_for_photographs));
  progress.message("Wrote " + a.grid);
}

}  // namespace

void add_dataset_check(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand(
      "check", "Count pictures, sizes and labels; find broken files and duplicates");
  auto a = std::make_shared<CheckArguments>();
  add_source_options(command, a->source);
  add_switch(command, "--json", a->json, "Print all of it as JSON");
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] { run_check(*a, context); });
}

void add_dataset_show(CLI::App& group, CommandContext& context) {
  CLI::App& command =
      *group.add_subcommand("show", "Draw pictures of a dataset side by side into one PNG");
  auto a = std::make_shared<ShowArguments>();
  ShowOptions& o = a->options;
  add_source_options(command, o.source);
  add_text_option(command, "--grid", a->grid, "FILE", "PNG to write")->required();
  add_int_option(command, "--count", o.count, at_least(int64_t{1}), "Pictures to draw");
  add_int_option(command, "--first", o.first, at_least(int64_t{0}), "Place of the first one");
  add_switch(command, "--random", o.random, "Take pictures from all over the dataset");
  add_int_option(command, "--seed", o.seed, {.min = 0, .max = 0xffffffff},
                 "Seed that chooses them");
  add_int_option(command, "--columns", o.columns, at_least(int64_t{0}),
                 "Pictures in a row, 0 = about square");
  add_text_option(command, "--vae", a->vae, "PATH|URL",
                  "VAE that decodes latents; without it they give a rough impression");
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([a, &context] { run_show(*a, context); });
}

}  // namespace edm2::cli
