#include "edm2/generate/sampling_options.h"

#include "edm2/core/error.h"
#include "edm2/diffusion/sampler_options.h"
#include "edm2/generate/presets.h"

namespace edm2 {

const OptionTable<SamplingRequest>& network_options() {
  using R = SamplingRequest;
  static const OptionTable<R> table({
      text_option("preset", &R::preset, "STR",
                  "Settings for --net, --gnet and --guidance where they are not given; 'edm2 "
                  "presets' lists them"),
      text_option("net", &R::net, "FILE|URL|RUN@STD",
                  "Snapshot of the network, or the folder of a run and an EMA length"),
      text_option("gnet", &R::gnet, "FILE|URL|RUN@STD",
                  "Snapshot of the guiding network, likewise"),
      text_option("vae", &R::vae, "PATH|URL",
                  "VAE that decodes the pictures of latent networks: a folder or a file of weights",
                  "searched for, then downloaded"),
  });
  return table;
}

const OptionTable<SamplingRequest>& label_options() {
  using R = SamplingRequest;
  static const OptionTable<R> table({
      class_option<R>(),
      batch_option<R>(),
      numbers_option("label-vector", &R::label_vector,
                     "Label of all pictures, for networks that were trained on label vectors"),
      text_option("labels", &R::labels, "FILE|DATASET",
                  "Labels (.npy, .csv, .json or a dataset); the picture of seed S gets number S"),
  });
  return table;
}

const OptionTable<SamplingRequest>& solver_options() {
  using R = SamplingRequest;
  static const OptionTable<R> table = [] {
    OptionTable<R> options({});
    options.add(sampler_options(), &R::sampler);
    options.replace(number_option("guidance", &R::guidance, {}, sampler_options()["guidance"].help,
                                  "preset or 1"));
    options.add(OptionTable<R>({
        choice_option("engine", &R::engine, parse_engine, {"auto", "fast", "int8", "reference"},
                      "What computes the networks: auto, fast (on the CPU, float32 with an error "
                      "of up to 1e-4; on CUDA, the engine's own kernels), int8 (on the CPU in "
                      "float32: weights in 8 bits, less memory, about 1 % off), or reference "
                      "(operator by operator as the original)"),
        switch_option("fast", &R::fast, "The same as --engine=fast"),
    }));
    return options;
  }();
  return table;
}

const OptionTable<SamplingRequest>& sampling_options() {
  using R = SamplingRequest;
  static const OptionTable<R> table = [] {
    OptionTable<R> options = network_options();
    options.add(OptionTable<R>(
        {integers_option("seeds", &R::seeds, "Random seeds, such as 1,2,5-10", "16-19")}));
    options.add(label_options());
    options.add(solver_options());
    return options;
  }();
  return table;
}

void apply(const SamplingRequest& request, GenerateOptions& options) {
  std::optional<std::string> net = request.net, gnet = request.gnet;
  std::optional<double> guidance = request.guidance;
  if (request.preset) {
    const GeneratePreset& preset = find_generate_preset(*request.preset);
    if (!guidance) guidance = preset.guidance;
    if (!net) net = preset.net;
    if (!gnet && *guidance != 1) gnet = preset.gnet;
  }
  if (!net) throw Error("Please specify either --preset or --net");
  options.net = *net;
  options.gnet = gnet;
  options.vae = request.vae;
  options.class_idx = request.class_idx;
  options.label_vector = request.label_vector;
  options.labels = request.labels;
  options.max_batch_size = request.max_batch_size;
  options.sampler = request.sampler;
  options.sampler.guidance = guidance.value_or(1);
  options.engine = request.fast ? EngineKind::fast : request.engine;
}

}  // namespace edm2
