#include "edm2/generate/generate.h"

#include <cstdio>

#include "edm2/core/error.h"
#include "edm2/generate/network_source.h"
#include "generate/output.h"

namespace edm2 {
namespace {

/// Loads what the options name, telling so.
Sampler load_sampler(const GenerateOptions& options, Progress& progress) {
  select_device(options.device);  // wrong ones are told before a long download
  progress.message("Loading main network from " + without_password(options.net) + " ...");
  Sampler sampler(load_network_source(options.net, options.fetch, progress), options.device,
                  options.precision);
  sampler.options = options.sampler;
  sampler.class_idx = options.class_idx;
  sampler.max_batch_size = options.max_batch_size;
  if (options.sampler.guidance != 1) {
    progress.message("Loading guiding network from " + without_password(*options.gnet) + " ...");
    sampler.set_guide(load_network_source(*options.gnet, options.fetch, progress),
                      options.sampler.guidance);
  } else if (options.gnet) {
    progress.message("Note: --gnet has no effect without --guidance");
  }
  if (options.class_idx && sampler.net().label_dim() == 0)
    progress.message("Note: the network is unconditional, --class is ignored");
  sampler.check();
  progress.message("Setting up " + sampler.encoder().name() + "...");
  return sampler;
}

}  // namespace

std::string image_file_name(int64_t seed, bool subdirs) {
  char name[64];
  std::snprintf(name, sizeof name, "%06lld.png", static_cast<long long>(seed));
  if (!subdirs) return name;
  const int64_t thousand = (seed >= 0 ? seed / 1000 : -((999 - seed) / 1000)) * 1000;
  char folder[64];
  std::snprintf(folder, sizeof folder, "%06lld/", static_cast<long long>(thousand));
  return std::string(folder) + name;
}

void validate(const GenerateOptions& options) {
  validate(options.sampler);
  if (options.max_batch_size < 1) throw UsageError("--batch must be at least 1");
  if (!options.outdir && !options.grid && !options.npz)
    throw UsageError("nothing would be written; give --outdir, --grid or --npz");
  if (options.sampler.guidance != 1 && !options.gnet)
    throw Error("Please specify --gnet when using guidance");
}

void generate_images(const GenerateOptions& options, Progress& progress) {
  validate(options);
  Sampler sampler = load_sampler(options, progress);
  const bool decode = needs_images(options, sampler.encoder());
  prepare_output_folders(options);

  const auto count = static_cast<int64_t>(options.seeds.size());
  progress.message("Generating " + std::to_string(count) + " images...");
  progress.start("Generating", count * options.sampler.num_steps, "step");
  sampler.on_step = [&](const SamplerStep& step) { progress.advance(step.x.size(0)); };
  const Outputs own = make_picture_outputs(options);
  const Outputs collected = make_collected_outputs(options, count);
  for (const auto& [begin, end] : split_batches(count, options.max_batch_size)) {
    const auto seeds = std::span(options.seeds)
                           .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const GeneratedBatch batch = sampler.generate(seeds, decode);
    for (const auto& output : own) output->add(batch);
    for (const auto& output : collected) output->add(batch);
  }
  for (const auto& output : own) output->finish();
  for (const auto& output : collected) output->finish();
  progress.finish();
}

}  // namespace edm2
