// edm2 generate: options of the original's generate_images.py, and more.
#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/generate/generate.h"
#include "edm2/generate/sampling_options.h"

namespace edm2::cli {
namespace {

std::optional<TrajectoryFormat> parse_trajectory(const std::string& text) {
  if (text == "webp") return TrajectoryFormat::webp;
  if (text == "strip") return TrajectoryFormat::strip;
  throw UsageError("'" + text + "' is not one of webp, strip.");
}

void add_output_options(CLI::App& command, GenerateOptions& o) {
  add_text_option(command, "--outdir", o.outdir, "DIR", "Where to save the pictures");
  add_switch(command, "--subdirs", o.subdirs, "Make one folder per 1000 seeds");
  command.add_flag("!--no-metadata", o.metadata, "Leave out of the pictures how they were made")
      ->disable_flag_override();
  add_switch(command, "--resume", o.resume, "Keep the pictures that are complete in --outdir");
  add_text_option(command, "--grid", o.grid, "FILE", "One PNG with all pictures side by side");
  add_int_option(command, "--grid-columns", o.grid_columns, at_least(int64_t{0}),
                 "Pictures in a row of --grid, 0 = about square");
  add_text_option(command, "--npz", o.npz, "FILE",
                  "Pictures, labels, seeds and latents as numpy arrays");
  add_text_option(command, "--latents", o.latents, "FILE",
                  "Latents, labels and seeds (.npz or .safetensors)");
  add_parsed_option(command, "--trajectory", o.trajectory, parse_trajectory, "webp|strip",
                    "Save stages of the denoising beside the pictures, as an animation or a strip");
  add_text_option(command, "--trajectory-grid", o.trajectory_grid, "FILE",
                  "All stages of all pictures: an animated sheet (.webp) or rows (.png)");
  add_int_option(command, "--trajectory-frames", o.trajectory_frames, at_least(int64_t{1}),
                 "Number of stages", "16, strips 8");
  add_int_option(command, "--preview", o.preview_every, at_least(int64_t{1}),
                 "Show the current batch every so many steps", "off");
  add_text_option(command, "--preview-file", o.preview_file, "FILE", "Where --preview shows it",
                  "OUTDIR/preview.png");
}

}  // namespace

void add_generate_command(CLI::App& app, CommandContext& context) {
  CLI::App* command = app.add_subcommand("generate", "Generate pictures with a trained network");
  auto options = std::make_shared<GenerateOptions>();
  auto sampling = std::make_shared<SamplingRequest>();
  add_options(*command, sampling_options(), *sampling);
  add_output_options(*command, *options);
  add_fetch_options(*command, context);
  add_device_options(*command, context);
  add_process_options(*command, context);
  add_progress_options(*command, context);
  command->callback([options, sampling, &context] {
    GenerateOptions& o = *options;
    if (!o.outdir && !o.grid && !o.npz && !o.latents && !o.trajectory_grid)
      throw UsageError("Missing option '--outdir'.");
    apply(*sampling, o);
    o.seeds = sampling->seeds;
    context.fill(o);
    validate(o);
    ProcessGroup& group = context.processes();
    o.device = context.device_name;
    generate_images(o, *context.progress(), group);
  });
}

}  // namespace edm2::cli
