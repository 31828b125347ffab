#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/data/convert.h"

namespace edm2::cli {
namespace {

void run_convert(ConvertOptions options, CommandContext& context) {
  require_single_process("Distributed execution is not supported.");
  options.source = resolve_source(options.source, context.fetch, *context.progress()).string();
  const ConvertResult result = convert_dataset(options, *context.progress());
  const std::string skipped =
      result.skipped == 0 ? ""
                          : " (" + std::to_string(result.skipped) + " too small ones left out)";
  context.progress()->message("Wrote " + std::to_string(result.written) + " pictures to " +
                              options.dest + skipped);
}

void add_convert(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand("convert",
                                            "Make a dataset of square RGB pictures of one size "
                                            "from a folder or zip of PNG and JPEG files");
  auto options = std::make_shared<ConvertOptions>();
  add_text_option(command, "--source", options->source, "PATH|URL",
                  "Folder or zip archive of pictures")
      ->required();
  add_text_option(command, "--dest", options->dest, "PATH", "Zip archive or empty folder to write")
      ->required();
  add_int_option(command, "--max-images", options->max_images, at_least(int64_t{1}),
                 "Take only the first pictures");
  add_parsed_option(command, "--transform", options->transform, parse_transform,
                    "[center-crop|center-crop-wide|center-crop-dhariwal]",
                    "How to crop; without it pictures are scaled");
  add_parsed_option(command, "--resolution", options->resolution, parse_resolution, "WxH",
                    "Size of the pictures in the dataset, such as 64x64");
  add_parsed_option(command, "--pillow", options->pillow, parse_pillow_version, "[10|11|12|13]",
                    "Version of Pillow whose resampling is followed to the bit", "10");
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([options, &context] { run_convert(*options, context); });
}

}  // namespace

void add_dataset_command(CLI::App& app, CommandContext& context) {
  CLI::App& group = *app.add_subcommand("dataset", "Prepare datasets");
  add_convert(group, context);
}

}  // namespace edm2::cli
