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
  if (o.sampler.guidance != 1 && !o.gnet) throw Error("Please specify --gnet when using guidance");
  o.fetch = context.fetch;
  o.device = context.device_name;
  o.precision = context.precision;
  return o;
}

void add_sampler_options(CLI::App& command, GenerateArguments& a) {
  SamplerOptions& s = a.options.sampler;
  add_int_option(command, "--steps", s.num_steps, at_least(int64_t{1}), "Sampling steps");
  add_float_option(command, "--sigma_min", s.sigma_min, greater_than(0.0), "Lowest noise level");
  add_float_option(command, "--sigma_max", s.sigma_max, greater_than(0.0), "Highest noise level");
  add_float_option(command, "--rho", s.rho, greater_than(0.0), "Time step exponent");
  add_float_option(command, "--guidance", a.guidance, {}, "Guidance strength, 1 = none",
                   "preset or 1");
  add_float_option(command, "--S_churn", s.S_churn, at_least(0.0), "Stochasticity strength");
  add_float_option(command, "--S_min", s.S_min, at_least(0.0), "Lowest noise level with churn");
  add_float_option(command, "--S_max", s.S_max, at_least(0.0), "Highest noise level with churn");
  add_float_option(command, "--S_noise", s.S_noise, {}, "Noise inflation");
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
  CLI::Option* outdir =
      add_text_option(*command, "--outdir", a->options.outdir, "DIR", "Where to save the pictures");
  add_switch(*command, "--subdirs", a->options.subdirs, "Make one folder per 1000 seeds");
  add_parsed_option(*command, "--seeds", a->options.seeds, parse_int_list, "LIST",
                    "Random seeds, such as 1,2,5-10", "16-19");
  add_int_option(*command, "--class", a->options.class_idx, at_least(int64_t{0}),
                 "Class of all pictures", "random");
  add_int_option(*command, "--batch", a->options.max_batch_size, at_least(int64_t{1}),
                 "Pictures sampled together");
  add_sampler_options(*command, *a);
  CLI::Option* grid = add_text_option(*command, "--grid", a->options.grid, "FILE",
                                      "One PNG with all pictures side by side");
  add_int_option(*command, "--grid-columns", a->options.grid_columns, at_least(int64_t{0}),
                 "Pictures in a row of --grid, 0 = about square");
  CLI::Option* npz = add_text_option(*command, "--npz", a->options.npz, "FILE",
                                     "Pictures, labels, seeds and latents as numpy arrays");
  add_fetch_options(*command, context);
  add_device_options(*command, context);
  add_progress_options(*command, context);
  command->callback([a, &context, outdir, grid, npz] {
    if (outdir->empty() && grid->empty() && npz->empty())
      throw UsageError("Missing option '--outdir'.");
    generate_images(to_options(*a, context), *context.progress());
  });
}

}  // namespace edm2::cli
