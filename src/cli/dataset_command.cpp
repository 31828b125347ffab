// edm2 dataset: options of the original's dataset_tool.py, and more.
#include "cli/commands.h"
#include "cli/dataset_options.h"
#include "edm2/data/convert.h"
#include "edm2/data/latents.h"

namespace edm2::cli {
namespace {

Channels parse_channels(const std::string& text) {
  return parse_word(text, {"rgb", "keep"}) == "keep" ? Channels::keep : Channels::rgb;
}

void report_problems(const std::vector<FileProblem>& problems, Progress& progress) {
  for (const FileProblem& problem : problems)
    progress.message("Left out " + problem.name + ": " + problem.reason);
}

std::string count_left_out(const std::vector<FileProblem>& problems) {
  return problems.empty() ? "" : ", " + std::to_string(problems.size()) + " left out";
}

void run_convert(DatasetConvertOptions options, CommandContext& context) {
  require_single_process("Distributed execution is not supported.");
  Progress& progress = *context.progress();
  options.source.path = resolve_source(options.source.path, context.fetch, progress).string();
  const DatasetConvertResult result = convert_dataset(options, progress);
  report_problems(result.problems, progress);
  const std::string skipped =
      result.skipped == 0 ? ""
                          : " (" + std::to_string(result.skipped) + " too small ones left out)";
  progress.message("Wrote " + std::to_string(result.written) + " pictures to " + options.dest +
                   skipped + count_left_out(result.problems));
}

void add_on_error(CLI::App& command, OnError& target) {
  add_parsed_option(command, "--on-error", target, parse_on_error, "[stop|skip]",
                    "What to do with pictures that cannot be used", "stop");
}

void add_dest(CLI::App& command, std::string& target, const std::string& description) {
  add_text_option(command, "--dest", target, "PATH", description)->required();
}

void add_convert(CLI::App& group, CommandContext& context) {
  CLI::App& command = *group.add_subcommand(
      "convert",
      "Make a dataset of square RGB pictures of one size from a folder, a zip, tar "
      "shards, or an archive of CIFAR or MNIST");
  auto options = std::make_shared<DatasetConvertOptions>();
  add_source_options(command, options->source);
  add_dest(command, options->dest, "Zip archive, tar archive or empty folder to write");
  add_int_option(command, "--shard-size", options->shard_size, at_least(int64_t{1}),
                 "Make a folder of tar shards with so many pictures each");
  add_int_option(command, "--max-images", options->max_images, at_least(int64_t{1}),
                 "Take only the first pictures");
  add_parsed_option(command, "--transform", options->transform, parse_transform,
                    "[center-crop|center-crop-wide|center-crop-dhariwal|fit|pad]",
                    "How to crop; without it pictures are scaled");
  add_parsed_option(command, "--resolution", options->resolution, parse_resolution, "WxH",
                    "Size of the pictures in the dataset, such as 64x64");
  add_switch(command, "--any-shape", options->any_shape,
             "Allow pictures that are not square or whose sides are no powers of two");
  add_parsed_option(command, "--channels", options->channels, parse_channels, "[rgb|keep]",
                    "Make all pictures RGB, or keep grey ones grey and alpha channels", "rgb");
  add_on_error(command, options->on_error);
  add_parsed_option(command, "--pillow", options->pillow, parse_pillow_version, "[10|11|12|13]",
                    "Version of Pillow whose resampling is followed to the bit", "10");
  add_parsed_option(
      command, "--threads", options->threads,
      [](const std::string& text) {
        return static_cast<int>(parse_int(text, {.min = 1, .max = 1024}));
      },
      "INT", "Threads that decode and scale", "one per processor");
  add_fetch_options(command, context);
  add_progress_options(command, context);
  command.callback([options, &context] { run_convert(*options, context); });
}

void run_latents(LatentOptions options, bool encode, CommandContext& context) {
  ProcessGroup& group = context.processes();
  Progress& progress = *context.progress();
  options.fetch = context.fetch;
  options.device = context.device_name;
  options.source.path = group.main_first(
      [&] { return resolve_source(options.source.path, context.fetch, progress).string(); });
  const LatentResult result =
      encode ? encode_dataset(options, progress, group) : decode_dataset(options, progress, group);
  report_problems(result.problems, progress);
  const std::string kept =
      result.kept == 0 ? "" : " (" + std::to_string(result.kept) + " of an interrupted run)";
  progress.message("Wrote " + std::to_string(result.written) + (encode ? " latents" : " pictures") +
                   " to " + options.dest + kept + count_left_out(result.problems));
}

void add_latents(CLI::App& group, CommandContext& context, bool encode) {
  CLI::App& command =
      encode
          ? *group.add_subcommand("encode", "Make a dataset of VAE latents from one of pictures")
          : *group.add_subcommand("decode", "Make a dataset of pictures from one of VAE latents");
  auto options = std::make_shared<LatentOptions>();
  add_source_options(command, options->source);
  add_dest(command, options->dest, "Zip archive or empty folder to write");
  add_int_option(command, "--max-images", options->max_images, at_least(int64_t{1}),
                 "Take only the first pictures");
  add_text_option(command, "--vae,--model-url", options->vae, "NAME|PATH|URL",
                  "The VAE: name on the Hugging Face hub, folder, file of weights or address",
                  options->vae);
  if (encode)
    add_switch(command, "--measure", options->measure,
               "Add mean and deviation of the latents to dataset.json, for training");
  else
    add_int_option(command, "--seed", options->seed, at_least(int64_t{0}),
                   "Seed of the first picture's latents; that of picture i is i higher");
  add_on_error(command, options->on_error);
  add_fetch_options(command, context);
  add_text_option(command, "--device", context.device_name, "DEVICE",
                  "Where to compute: auto, cpu, cuda or cuda:N", context.device_name);
  add_process_options(command, context);
  add_progress_options(command, context);
  command.callback([options, encode, &context] { run_latents(*options, encode, context); });
}

}  // namespace

void add_source_options(CLI::App& command, SourceOptions& source) {
  add_text_option(command, "--source", source.path, "PATH|URL",
                  "Folder, zip archive, tar shards (one, or a pattern such as 'x-{000..099}.tar'), "
                  "archive of CIFAR, or files of MNIST")
      ->required();
  add_text_option(
      command, "--labels", source.labels, "auto|folders|none|FILE",
      "Where labels come from: the source itself, names of folders, or a table (.csv) or list",
      source.labels);
  add_text_option(command, "--image-key", source.image_key, "EXT|NAME",
                  "Which picture of a sample in tar shards, such as jpg or seg.png",
                  "the only one");
  add_parsed_option(
      command, "--split", source.split,
      [](const std::string& text) {
        return parse_word(text, {"train", "test", "all"});
      },
      "[train|test|all]", "Part of CIFAR or MNIST", source.split);
  add_switch(command, "--coarse-labels", source.coarse_labels,
             "The 20 superclasses of CIFAR-100 instead of its 100 classes");
}

void add_dataset_command(CLI::App& app, CommandContext& context) {
  CLI::App& group = *app.add_subcommand("dataset", "Prepare datasets");
  add_convert(group, context);
  add_latents(group, context, /*encode=*/true);
  add_latents(group, context, /*encode=*/false);
  add_dataset_check(group, context);
  add_dataset_show(group, context);
}

}  // namespace edm2::cli
