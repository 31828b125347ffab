// edm2 generate: options of the original's generate_images.py, and more.
#include "cli/command.h"
#include "cli/commands.h"
#include "edm2/generate/generate.h"
#include "edm2/generate/presets.h"

namespace edm2::cli {
namespace {

struct GenerateArguments {
  GenerateOptions options;
  std::optional<std::string> preset, net, gnet;
  std::optional<double> guidance;
};

/// The preset fills what is not given; guidance 1 switches the guiding network off.
GenerateOptions to_options(const GenerateArguments& a, const CommandContext& context) {
  GenerateOptions o = a.options;
  std::optional<std::string> net = a.net, gnet = a.gnet;
  std::optional<double> guidance = a.guidance;
  if (a.preset) {
    const GeneratePreset& preset = find_generate_preset(*a.preset);
    if (!guidance) guidance = preset.guidance;
    if (!net) net = preset.net;
    if (!gnet && *guidance != 1) gnet = preset.gnet;
  }
  if (!net) throw Error("Please specify either --preset or --net");
  o.net = *net;
  o.gnet = gnet;
  o.sampler.guidance = guidance.value_or(1);
  o.fetch = context.fetch;
  o.device = context.device_name;
  o.precision = context.precision;
  return o;
}

GuidanceInterval parse_guidance_interval(const std::string& text) {
  const std::vector<double> bounds = parse_floats(text);
  if (bounds.size() != 2 || !(bounds[0] >= 0 && bounds[0] < bounds[1]))
    throw UsageError("'" + text + "' is not an interval LO,HI of noise levels with 0 <= LO < HI.");
  return {bounds[0], bounds[1]};
}

void add_sampler_options(CLI::App& command, GenerateArguments& a) {
  SamplerOptions& s = a.options.sampler;
  add_parsed_option(command, "--solver", s.solver, parse_solver, "NAME",
                    "How a step is made: heun, euler, dpmpp-2m, dpmpp-3m or unipc",
                    solver_name(s.solver));
  add_int_option(command, "--steps", s.num_steps, at_least(int64_t{1}), "Sampling steps");
  add_float_option(command, "--sigma_min", s.sigma_min, greater_than(0.0), "Lowest noise level");
  add_float_option(command, "--sigma_max", s.sigma_max, greater_than(0.0), "Highest noise level");
  add_float_option(command, "--rho", s.rho, greater_than(0.0), "Time step exponent");
  add_float_option(command, "--guidance", a.guidance, {}, "Guidance strength, 1 = none",
                   "preset or 1");
  add_parsed_option(command, "--guidance-interval", s.guidance_interval, parse_guidance_interval,
                    "LO,HI", "Guide only at noise levels LO < sigma <= HI", "0,inf");
  add_float_option(command, "--S_churn", s.S_churn, at_least(0.0), "Stochasticity strength");
  add_float_option(command, "--S_min", s.S_min, at_least(0.0), "Lowest noise level with churn");
  add_float_option(command, "--S_max", s.S_max, at_least(0.0), "Highest noise level with churn");
  add_float_option(command, "--S_noise", s.S_noise, {}, "Noise inflation");
}

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
  auto a = std::make_shared<GenerateArguments>();
  a->options.seeds = {16, 17, 18, 19};
  add_text_option(*command, "--preset", a->preset, "STR",
                  "Settings for --net, --gnet and --guidance where they are not given; 'edm2 "
                  "presets' lists them");
  add_text_option(*command, "--net", a->net, "FILE|URL", "Snapshot of the network");
  add_text_option(*command, "--gnet", a->gnet, "FILE|URL", "Snapshot of the guiding network");
  add_text_option(*command, "--vae", a->options.vae, "PATH|URL",
                  "VAE that decodes the pictures of latent networks: a folder or a file of weights",
                  "searched for, then downloaded");
  add_parsed_option(*command, "--seeds", a->options.seeds, parse_int_list, "LIST",
                    "Random seeds, such as 1,2,5-10", "16-19");
  add_int_option(*command, "--class", a->options.class_idx, at_least(int64_t{0}),
                 "Class of all pictures", "random");
  add_int_option(*command, "--batch", a->options.max_batch_size, at_least(int64_t{1}),
                 "Pictures sampled together");
  add_sampler_options(*command, *a);
  add_output_options(*command, a->options);
  add_fetch_options(*command, context);
  add_device_options(*command, context);
  add_process_options(*command, context);
  add_progress_options(*command, context);
  command->callback([a, &context] {
    const GenerateOptions& o = a->options;
    if (!o.outdir && !o.grid && !o.npz && !o.latents && !o.trajectory_grid)
      throw UsageError("Missing option '--outdir'.");
    GenerateOptions options = to_options(*a, context);
    validate(options);
    ProcessGroup& group = context.processes();
    options.device = context.device_name;
    generate_images(options, *context.progress(), group);
  });
}

}  // namespace edm2::cli
