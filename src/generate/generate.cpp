#include "edm2/generate/generate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "data/contact_sheet.h"
#include "edm2/core/error.h"
#include "edm2/generate/network_source.h"
#include "edm2/io/atomic_file.h"
#include "edm2/nn/finite.h"
#include "edm2/nn/snapshot_tools.h"
#include "generate/label_source.h"
#include "generate/output.h"
#include "generate/parameters.h"
#include "generate/resume.h"

namespace edm2 {
namespace {

void set_labels(Sampler& sampler, const GenerateOptions& options, Progress& progress) {
  const int64_t dim = sampler.net().label_dim();
  if (options.label_vector)
    sampler.label_of_seed =
        label_rows(at::tensor(*options.label_vector).to(at::kFloat).unsqueeze(0));
  if (!options.labels) return;
  if (dim == 0) throw Error("the network is unconditional, so it takes no --labels");
  std::vector<std::string> notes;
  sampler.label_of_seed =
      load_labels(options.labels->resolved(options.fetch, progress).file(), dim, notes);
  for (const std::string& note : notes) progress.message("Note: " + note);
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
  const int64_t thousands = seed / 1000 - (seed % 1000 < 0 ? 1 : 0);  // rounded down
  char folder[64];
  std::snprintf(folder, sizeof folder, "%03lld000/", static_cast<long long>(thousands));
  return std::string(folder) + name;
}

/// What `load` returns; weights that are not finite are an error of that network.
template <class Load>
auto naming_source(const NamedSource& source, const Load& load) {
  try {
    return load();
  } catch (const NotFiniteError& error) {
    throw Error(source.shown() + ": " + error.what());
  }
}

std::function<void(int64_t)> tell_once(Progress& progress) {
  return [&progress, told = false](int64_t seed) mutable {
    if (std::exchange(told, true)) return;
    progress.message("Warning: the picture of seed " + std::to_string(seed) +
                     " has values that are not finite (NaN or infinity), and comes out black where "
                     "they are; if the network overflows in float16, --precision=fp32 draws it");
  };
}

/// As load_sampler(), and resolves the networks in `options`.
Sampler resolve_and_load(GenerateOptions& options, Progress& progress,
                         const NetworkCallback& on_network) {
  const auto load = [&](const std::string& role, NamedSource& source) {
    source = find_network(source, options.fetch, progress);
    StoredSnapshot network = open_network_source(source, options.fetch, progress);
    if (on_network) on_network(role, network);
    return network;
  };
  select_device(options.device);  // wrong ones are told before a long download
  progress.message("Loading main network from " + options.net.shown() + " ...");
  EncoderSetup encoder;
  encoder.vae = options.vae;
  encoder.fetch = options.fetch;
  encoder.batch_size = options.encoder_batch_size;
  Sampler sampler = naming_source(options.net, [&] {
    return Sampler(load("net", options.net), options.device, options.precision, encoder,
                   options.engine);
  });
  sampler.on_not_finite = tell_once(progress);
  sampler.options = options.sampler;
  sampler.class_idx = options.class_idx;
  set_labels(sampler, options, progress);
  sampler.max_batch_size = options.max_batch_size;
  if (options.sampler.guidance != 1) {
    progress.message("Loading guiding network from " + options.gnet->shown() + " ...");
    naming_source(*options.gnet, [&] {
      sampler.set_guide(load("gnet", *options.gnet), options.sampler.guidance);
    });
  } else if (options.gnet) {
    progress.message("Note: --gnet has no effect without --guidance");
  }
  if (options.sampler.guidance == 1 && options.sampler.guidance_interval.limits())
    progress.message("Note: --guidance-interval has no effect without --guidance");
  if (options.class_idx && sampler.net().label_dim() == 0)
    progress.message("Note: the network is unconditional, --class is ignored");
  sampler.frames = wanted_frames(options);
  sampler.check();
  progress.message("Setting up " + sampler.encoder().name() + "...");
  if (needs_images(options)) sampler.encoder().load(progress);
  return sampler;
}

}  // namespace

Sampler load_sampler(const GenerateOptions& options, Progress& progress,
                     const NetworkCallback& on_network) {
  GenerateOptions resolved = options;
  return resolve_and_load(resolved, progress, on_network);
}

std::string image_file_name(int64_t seed, bool subdirs) { return file_name(seed, subdirs, ".png"); }

std::string trajectory_file_name(int64_t seed, bool subdirs, TrajectoryFormat format) {
  return file_name(seed, subdirs, format == TrajectoryFormat::webp ? "-steps.webp" : "-steps.png");
}

void validate_sampling(const GenerateOptions& options) {
  validate(options.sampler);
  if (options.max_batch_size < 1) throw UsageError("--batch must be at least 1");
  TORCH_CHECK(options.encoder_batch_size >= 1, "[generate] encoder_batch_size");
  if (options.sampler.guidance != 1 && !options.gnet)
    throw Error("Please specify --gnet when using guidance");
  if (options.class_idx && *options.class_idx < 0) throw UsageError("--class must be at least 0");
  if (options.label_vector &&
      !std::all_of(options.label_vector->begin(), options.label_vector->end(),
                   [](double value) { return std::isfinite(value); }))
    throw UsageError("--label-vector must be finite numbers");
  if ((options.class_idx ? 1 : 0) + (options.label_vector ? 1 : 0) + (options.labels ? 1 : 0) > 1)
    throw UsageError("only one of --class, --label-vector and --labels can be given");
}

void validate(const GenerateOptions& options) {
  validate_sampling(options);
  validate_outputs(options);
}

namespace {

/// The first process's numbers in all processes.
std::vector<int64_t> broadcast(ProcessGroup& group, const std::vector<int64_t>& numbers) {
  if (group.size() == 1) return numbers;
  const std::string bytes = group.broadcast(
      std::string(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(int64_t)));
  std::vector<int64_t> received(bytes.size() / sizeof(int64_t));
  std::memcpy(received.data(), bytes.data(), bytes.size());
  return received;
}

/// The batches of all processes on the first one, in the order of their ranks, which is that of the
/// seeds. Some processes may have none.
std::vector<GeneratedBatch> gather(ProcessGroup& group, GeneratedBatch batch,
                                   const GenerateOptions& options) {
  if (group.size() == 1) return {std::move(batch)};
  std::vector<GeneratedBatch> all(group.is_main() ? static_cast<size_t>(group.size()) : 0);
  const auto seeds = group.gather(at::tensor(batch.seeds, at::kLong));
  for (size_t i = 0; i < seeds.size(); ++i)
    all[i].seeds.assign(seeds[i].const_data_ptr<int64_t>(),
                        seeds[i].const_data_ptr<int64_t>() + seeds[i].numel());
  for (Tensor GeneratedBatch::*field : {&GeneratedBatch::labels, &GeneratedBatch::latents,
                                        &GeneratedBatch::images, &GeneratedBatch::frames}) {
    if (field == &GeneratedBatch::frames && !options.trajectory_grid) continue;
    const Tensor& tensor = batch.*field;
    const auto parts = group.gather(tensor.defined() ? tensor : at::empty({0}));
    for (size_t i = 0; i < parts.size(); ++i)
      if (parts[i].numel() > 0) all[i].*field = parts[i];
  }
  std::erase_if(all, [](const GeneratedBatch& part) { return part.seeds.empty(); });
  return all;
}

/// What is known before anything is drawn.
struct Job {
  Sampler sampler;
  NetworkDigests digests;                            // on their way
  std::optional<nlohmann::ordered_json> parameters;  // of the run, where they were needed already
  std::vector<int64_t> seeds;                        // on the first process
};

/// Resolves the networks in `options`.
Job prepare_job(GenerateOptions& options, Progress& progress, const ProcessGroup& group) {
  const bool says_how = options.metadata || options.resume;
  NetworkDigests digests;
  std::vector<std::pair<std::string, NamedSource>> files;
  const auto on_network = [&](const std::string& role, const StoredSnapshot& network) {
    if (!says_how) return;
    const NamedSource& source = role == "net" ? options.net : *options.gnet;
    if (source.kind() == SourceKind::run)
      digests[role] = {"weights_sha256",
                       std::async(std::launch::async,
                                  [copy = network.description()] { return weights_sha256(copy); })};
    else
      files.emplace_back(role, source);
  };
  Job job{resolve_and_load(options, progress, on_network), {}, {}, {}};
  // Not before: the engine needs all threads to get the networks ready.
  for (const auto& [role, file] : files)
    digests[role] = {"sha256",
                     std::async(std::launch::async, [copy = file] { return copy.sha256(); })};
  job.digests = std::move(digests);
  prepare_output_folders(options);
  if (options.resume) job.parameters = run_parameters(options, job.sampler, job.digests);
  if (group.is_main())
    job.seeds = seeds_to_draw(options, job.sampler, job.parameters.value_or(nullptr), progress);
  return job;
}

/// What files say of the run, null for nothing. Waits for the networks' digests.
nlohmann::ordered_json parameters_for_files(const GenerateOptions& options, const Job& job) {
  if (!options.metadata) return nullptr;
  return job.parameters ? *job.parameters : run_parameters(options, job.sampler, job.digests);
}

/// The parts of `count` seeds that this process draws.
std::vector<std::pair<int64_t, int64_t>> own_parts(int64_t count, int64_t max_batch_size,
                                                   const ProcessGroup& group) {
  std::vector<std::pair<int64_t, int64_t>> own;
  const auto parts = split_batches(count, max_batch_size, group.size());
  const auto processes = static_cast<size_t>(group.size()),
             rank = static_cast<size_t>(group.rank());
  for (size_t i = rank; i < parts.size(); i += processes) own.push_back(parts[i]);
  return own;
}

/// A contact sheet of the estimates of the current batch. The file is replaced as a whole, so a
/// viewer never sees half of it.
void write_preview(const std::filesystem::path& file, const Encoder& encoder,
                   const Tensor& denoised) {
  ContactSheet sheet(denoised.size(0), 0);
  sheet.add(encoder.decode_preview(denoised.to(at::kFloat)));
  write_file(file, encode_png(sheet.image(), png_for_photographs));
}

/// Shows the progress in pictures: one more for as many steps as one takes, of however many
/// pictures in a batch.
class PictureCount {
 public:
  PictureCount(int64_t num_steps, Progress& progress)
      : num_steps_(num_steps), progress_(progress) {}
  /// Step number `step`, counted from 1, of so many pictures.
  void after_step(int64_t step, int64_t pictures) {
    progress_.note("step " + std::to_string(step) + " of " + std::to_string(num_steps_));
    steps_ += pictures;
    progress_.advance(steps_ / num_steps_ - std::exchange(shown_, steps_ / num_steps_));
  }

 private:
  int64_t num_steps_;
  Progress& progress_;
  int64_t steps_ = 0, shown_ = 0;
};

/// "Wrote 64 pictures to out; all on one sheet: out/grid.png"
std::string where_they_are(const GenerateOptions& options, int64_t count) {
  std::string text = std::to_string(count) + (count == 1 ? " picture" : " pictures");
  text = options.outdir ? "Wrote " + text + " to " + options.outdir->string() : "Drew " + text;
  if (options.grid) text += "; all on one sheet: " + options.grid->string();
  for (const auto& file : {options.npz, options.latents, options.trajectory_grid})
    if (file) text += "; " + file->string();
  return text;
}

}  // namespace

void generate_images(const GenerateOptions& given, Progress& progress, ProcessGroup& group) {
  validate(given);
  GenerateOptions options = given;
  Job job = group.main_first([&] { return prepare_job(options, progress, group); });
  Sampler& sampler = job.sampler;
  const std::vector<int64_t> seeds = broadcast(group, job.seeds);

  const auto count = static_cast<int64_t>(seeds.size());
  const auto parts = own_parts(count, options.max_batch_size, group);
  int64_t own_count = 0;
  for (const auto& [begin, end] : parts) own_count += end - begin;
  progress.message("Generating " + std::to_string(count) + " images...");
  progress.start("Generating", own_count, "picture");
  PictureCount pictures(options.sampler.num_steps, progress);
  sampler.on_step = [&](const SamplerStep& step) {
    group.check();
    const int64_t done = step.step + 1, every = options.preview_every;
    if (every > 0 && group.is_main() && (done % every == 0 || done == options.sampler.num_steps))
      write_preview(preview_path(options), sampler.encoder(), step.denoised);
    pictures.after_step(done, step.x.size(0));
  };
  // While the first batch is drawn.
  auto told = std::async(std::launch::async, [&] { return parameters_for_files(options, job); });
  nlohmann::ordered_json parameters;
  Outputs own, collected;
  const auto get_outputs_ready = [&] {
    if (!told.valid()) return;
    parameters = told.get();
    own = make_picture_outputs(options, parameters);
    collected = make_collected_outputs(options, parameters);
  };
  for (const auto& [begin, end] : parts) {
    GeneratedBatch batch;
    if (begin < end) {
      batch = sampler.generate(
          std::span(seeds).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
          needs_images(options));
      for (const auto field : batch_tensors)  // from the device once, not in every output
        if ((batch.*field).defined()) batch.*field = (batch.*field).cpu();
      get_outputs_ready();
      for (const auto& output : own) output->add(batch);
    }
    get_outputs_ready();
    if (collected.empty()) continue;
    for (const auto& part : gather(group, std::move(batch), options))
      for (const auto& output : collected) output->add(part);
  }
  get_outputs_ready();
  for (const auto& output : own) output->finish();
  group.barrier();
  if (group.is_main()) {
    for (const auto& output : collected) output->finish();
    if (options.resume && options.grid && !options.seeds.empty())
      write_grid_from_files(options, parameters);
  }
  progress.finish();
  if (!options.seeds.empty()) progress.message(where_they_are(options, count));
}

void generate_images(const GenerateOptions& options, Progress& progress) {
  generate_images(options, progress, *ProcessGroup::single());
}

}  // namespace edm2
