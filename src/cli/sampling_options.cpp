#include "cli/sampling_options.h"

#include "cli/command.h"
#include "edm2/generate/presets.h"

namespace edm2::cli {
namespace {

void add_label_options(CLI::App& command, SamplingArguments& a) {
  add_parsed_option(
      command, "--label-vector", a.label_vector,
      [](const std::string& text) { return parse_floats(text); }, "LIST",
      "Label of all pictures, for networks that were trained on label vectors");
  add_text_option(command, "--labels", a.labels, "FILE|DATASET",
                  "Labels (.npy, .csv, .json or a dataset); the picture of seed S gets number S");
}

}  // namespace

void add_network_options(CLI::App& command, SamplingArguments& a) {
  add_text_option(command, "--preset", a.preset, "STR",
                  "Settings for --net, --gnet and --guidance where they are not given; 'edm2 "
                  "presets' lists them");
  add_text_option(command, "--net", a.net, "FILE|URL|RUN@STD",
                  "Snapshot of the network, or the folder of a run and an EMA length");
  add_text_option(command, "--gnet", a.gnet, "FILE|URL|RUN@STD",
                  "Snapshot of the guiding network, likewise");
  add_text_option(command, "--vae", a.vae, "PATH|URL",
                  "VAE that decodes the pictures of latent networks: a folder or a file of weights",
                  "searched for, then downloaded");
}

void add_batch_options(CLI::App& command, SamplingArguments& a) {
  add_int_option(command, "--class", a.class_idx, at_least(int64_t{0}), "Class of all pictures",
                 "random");
  add_int_option(command, "--batch", a.max_batch_size, at_least(int64_t{1}),
                 "Pictures sampled together");
  add_label_options(command, a);
}

void add_sampler_options(CLI::App& command, SamplingArguments& a) {
  SamplerOptions& s = a.sampler;
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
  add_parsed_option(
      command, "--engine", a.engine, parse_engine, "NAME",
      "What computes the networks: auto, fast (on the CPU, float32 with an error of up to 1e-4; on "
      "CUDA, the engine's own kernels), int8 (on the CPU in float32: weights in 8 bits, less "
      "memory, about 1 % off), or reference (operator by operator as the original)",
      "auto");
  add_switch(command, "--fast", a.fast, "The same as --engine=fast");
}

void apply(const SamplingArguments& a, const CommandContext& context, GenerateOptions& o) {
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
  o.vae = a.vae;
  o.class_idx = a.class_idx;
  o.label_vector = a.label_vector;
  o.labels = a.labels;
  o.max_batch_size = a.max_batch_size;
  o.sampler = a.sampler;
  o.sampler.guidance = guidance.value_or(1);
  o.fetch = context.fetch;
  o.device = context.device_name;
  o.precision = context.precision;
  o.engine = a.fast ? EngineKind::fast : a.engine;
}

}  // namespace edm2::cli
