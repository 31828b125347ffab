#include "edm2/generate/generate.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/generate/network_source.h"
#include "generate/output.h"
#include "generate/parameters.h"
#include "generate/preview.h"
#include "generate/resume.h"

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
  sampler.frames = wanted_frames(options);
  sampler.check();
  progress.message("Setting up " + sampler.encoder().name() + "...");
  return sampler;
}

/// All seeds, or those that an earlier run has left.
std::vector<int64_t> seeds_to_draw(const GenerateOptions& options, const Sampler& sampler,
                                   const nlohmann::ordered_json& parameters, Progress& progress) {
  if (!options.resume) return options.seeds;
  std::vector<int64_t> missing = missing_seeds(options, sampler, parameters, progress);
  progress.message(std::to_string(options.seeds.size() - missing.size()) + " of " +
                   std::to_string(options.seeds.size()) + " images are complete");
  return missing;
}

/// "000123" + ending, or "000000/000123" + ending.
std::string file_name(int64_t seed, bool subdirs, const char* ending) {
  char name[64];
  std::snprintf(name, sizeof name, "%06lld%s", static_cast<long long>(seed), ending);
  if (!subdirs) return name;
  const int64_t thousand = (seed >= 0 ? seed / 1000 : -((999 - seed) / 1000)) * 1000;
  char folder[64];
  std::snprintf(folder, sizeof folder, "%06lld/", static_cast<long long>(thousand));
  return std::string(folder) + name;
}

}  // namespace

std::string image_file_name(int64_t seed, bool subdirs) { return file_name(seed, subdirs, ".png"); }

std::string trajectory_file_name(int64_t seed, bool subdirs, TrajectoryFormat format) {
  return file_name(seed, subdirs, format == TrajectoryFormat::webp ? "-steps.webp" : "-steps.png");
}

void validate(const GenerateOptions& options) {
  validate(options.sampler);
  if (options.max_batch_size < 1) throw UsageError("--batch must be at least 1");
  if (options.sampler.guidance != 1 && !options.gnet)
    throw Error("Please specify --gnet when using guidance");
  if (options.class_idx && *options.class_idx < 0) throw UsageError("--class must be at least 0");
  validate_outputs(options);
}

void generate_images(const GenerateOptions& options, Progress& progress) {
  validate(options);
  Sampler sampler = load_sampler(options, progress);
  prepare_output_folders(options);
  nlohmann::ordered_json parameters;
  if (options.outdir && (options.metadata || options.resume))
    parameters = run_parameters(options, sampler, progress);
  const std::vector<int64_t> seeds = seeds_to_draw(options, sampler, parameters, progress);
  if (!options.metadata) parameters = nullptr;

  const auto count = static_cast<int64_t>(seeds.size());
  progress.message("Generating " + std::to_string(count) + " images...");
  progress.start("Generating", count * options.sampler.num_steps, "step");
  std::optional<Preview> preview;
  if (options.preview_every > 0)
    preview.emplace(preview_path(options), options.preview_every, options.sampler.num_steps,
                    sampler.encoder());
  sampler.on_step = [&](const SamplerStep& step) {
    if (preview) preview->after_step(step);
    progress.advance(step.x.size(0));
  };
  const Outputs own = make_picture_outputs(options, parameters);
  const Outputs collected = make_collected_outputs(options, count);
  for (const auto& [begin, end] : split_batches(count, options.max_batch_size)) {
    const auto part =
        std::span(seeds).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const GeneratedBatch batch = sampler.generate(part, needs_images(options));
    for (const auto& output : own) output->add(batch);
    for (const auto& output : collected) output->add(batch);
  }
  for (const auto& output : own) output->finish();
  for (const auto& output : collected) output->finish();
  if (options.resume && options.grid && !options.seeds.empty()) write_grid_from_files(options);
  progress.finish();
}

}  // namespace edm2
