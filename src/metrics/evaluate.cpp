#include "edm2/metrics/evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/download_cache.h"
#include "edm2/nn/snapshot_tools.h"
#include "metrics/manifest.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// The detectors that a list of metrics needs, in the order in which it needs them.
class LoadedDetectors {
 public:
  LoadedDetectors(const std::vector<Metric>& metrics, const DetectorSources& sources,
                  c10::Device device, const FetchOptions& fetch, Progress& progress)
      : sources_(sources) {
    for (const Metric& metric : metrics) {
      const bool loaded = std::any_of(passes.begin(), passes.end(), [&](const PassDetector& pass) {
        return pass.kind == metric.detector;
      });
      if (!loaded) load(metric.detector, {device, sources.precision}, fetch, progress);
    }
  }

  std::vector<PassDetector> passes;
  std::vector<DetectorRecord> records;
  std::map<DetectorKind, std::string> unusual;  ///< what a score by this detector must be told with
  const InceptionDetector* inception() const { return inception_.get(); }

 private:
  void load(DetectorKind kind, const DetectorOptions& options, const FetchOptions& fetch,
            Progress& progress) {
    const bool is_inception = kind == DetectorKind::inception;
    progress.message(std::string("Setting up ") +
                     (is_inception ? "InceptionV3Detector" : "DINOv2Detector") + "...");
    const NamedSource source =
        find_detector(kind, is_inception ? sources_.inception : sources_.dinov2, fetch, progress);
    const fs::path& file = source.file();
    const Detector* detector = nullptr;
    if (is_inception) {
      inception_ = load_inception(file, options);
      detector = inception_.get();
    } else {
      dinov2_ = load_dinov2(file, {.detector = options});
      detector = dinov2_.get();
    }
    passes.push_back({kind, detector});
    if (!detector->is_customary()) {
      unusual.emplace(kind,
                      "the features are those of " + detector->network_name() +
                          ", while FD-DINOv2 of papers is computed with ViT-L/14; compare the "
                          "values with those of the same network only");
      progress.message("Note: '" + file.string() + "': " + unusual.at(kind));
    }
    records.push_back({kind, source, detector->resize_method(), detector->precision_name(),
                       detector->network_name()});
  }

  const DetectorSources& sources_;
  std::unique_ptr<InceptionDetector> inception_;
  std::unique_ptr<Detector> dinov2_;
};

/// Pictures drawn from consecutive seeds.
class GeneratedStream final : public PictureStream {
 public:
  GeneratedStream(Sampler& sampler, int64_t first_seed, std::vector<Part> parts)
      : sampler_(sampler), first_seed_(first_seed), parts_(std::move(parts)) {}

  PictureBatch next() override {
    const Part part = parts_.at(next_part_++);
    std::vector<int64_t> seeds(static_cast<size_t>(part.size()));
    std::iota(seeds.begin(), seeds.end(), first_seed_ + part.begin);
    PictureBatch batch;
    batch.pixels = sampler_.generate(seeds).images;
    const Tensor pixels = batch.pixels.cpu();
    for (const Tensor& picture : pixels.unbind(0)) batch.digests += picture_digest(picture);
    return batch;
  }

 private:
  Sampler& sampler_;
  int64_t first_seed_;
  std::vector<Part> parts_;
  size_t next_part_ = 0;
};

bool any_of_kind(const std::vector<Metric>& metrics, bool (*wanted)(const Metric&)) {
  return std::any_of(metrics.begin(), metrics.end(), wanted);
}

bool needs_statistics(const Metric& metric) { return metric.kind == MetricKind::frechet; }
bool needs_features(const Metric& metric) { return metric.needs_reference_features(); }
bool keeps_features(const Metric& metric) { return metric.kind != MetricKind::frechet; }

/// The names under which the detectors of these metrics keep their statistics.
std::vector<std::string> names_of(const std::vector<Metric>& metrics) {
  std::vector<std::string> names;
  for (const Metric& metric : metrics) {
    const std::string name = statistics_name(metric.detector);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

/// What would otherwise be found out behind hours of work.
void check_fit(const std::vector<Metric>& metrics, const FeatureSet& reference,
               const LoadedDetectors& detectors) {
  for (const PassDetector& pass : detectors.passes) {
    const std::string name = statistics_name(pass.kind);
    const auto check = [&](int64_t dim) {
      if (dim != pass.detector->feature_dim())
        throw Error("the reference has " + std::to_string(dim) + " features an image for '" + name +
                    "', but " + pass.detector->name() + " makes " +
                    std::to_string(pass.detector->feature_dim()) +
                    ", so it comes from another detector");
    };
    if (const FeatureStatistics* statistics = reference.statistics.find(name))
      check(statistics->mu.size(0));
    if (const Tensor features = reference.find_features(name); features.defined())
      check(features.size(1));
  }
  for (const Metric& metric : metrics)
    if (metric.kind == MetricKind::inception_score)  // throws if the file has no output layer
      detectors.inception()->class_logits(
          at::zeros({1, detectors.inception()->feature_dim()}, at::kFloat));
}

/// What the pictures are compared with. Loaded first, so that a bad path is told early.
FeatureSet load_reference(const EvaluateOptions& options, Progress& progress,
                          EvaluationFiles& files) {
  FeatureSet reference;
  if (options.ref) {
    progress.message("Loading feature statistics from " + options.ref->shown() + " ...");
    files.reference = options.ref->resolved(options.fetch, progress);
    reference.statistics = load_statistics(files.reference->file());
  }
  if (options.ref_features) {
    progress.message("Loading features from " + options.ref_features->shown() + " ...");
    files.reference_features = options.ref_features->resolved(options.fetch, progress);
    reference.features = load_features(files.reference_features->file());
  }
  for (const Metric& metric : options.metrics) {
    const std::string name = statistics_name(metric.detector);
    const bool missing = needs_statistics(metric)
                             ? reference.statistics.find(name) == nullptr
                             : needs_features(metric) && !reference.find_features(name).defined();
    if (missing)
      progress.message("Warning: the reference has nothing for " + metric.name +
                       ", which will be left out");
  }
  return reference;
}

std::unique_ptr<PictureSet> open_input(const PictureInput& input, const FetchOptions& fetch,
                                       Progress& progress) {
  progress.message("Loading images from " + input.path.shown() + " ...");
  auto pictures =
      open_pictures({input.path.resolved(fetch, progress).file(), input.num, input.seed});
  for (const std::string& note : pictures->notes()) progress.message("Note: " + note);
  const std::string found = "Found " + std::to_string(pictures->size()) + " images, but ";
  if (input.num && pictures->size() < *input.num && !input.allow_fewer)
    throw Error(found + "expected at least " + std::to_string(*input.num) +
                "; give a smaller --num, or --allow-fewer to take what there is");
  if (pictures->size() < 2) throw Error(found + "need at least 2 to compute statistics");
  return pictures;
}

Sampler load_network(const NetworkInput& input, const EvaluateOptions& options, Progress& progress,
                     EvaluationFiles& files) {
  GenerateOptions sampling = input.sampling;
  sampling.device = options.device;
  sampling.fetch = options.fetch;
  NetworkCallback hash_weights;
  if (options.manifest)
    hash_weights = [&](const std::string& role, StoredSnapshot& network) {
      Snapshot whole = std::move(network).load();
      (role == "net" ? files.net_sha256 : files.gnet_sha256) = weights_sha256(whole);
      network = std::move(whole);
    };
  Sampler sampler = load_sampler(sampling, progress, hash_weights);
  sampler.encoder().load(progress);
  if (const auto vae = sampler.encoder().weights_file()) files.vae = sampling.vae.resolved_to(*vae);
  progress.message("Generating " + std::to_string(input.num) + " images...");
  return sampler;
}

void prepare_file(const std::optional<fs::path>& file, const char* option) {
  if (file) prepare_output_folder(fs::absolute(*file).parent_path(), option);
}

}  // namespace

void validate(const EvaluateOptions& options) {
  TORCH_CHECK(options.pictures.has_value() != options.network.has_value(),
              "[evaluate] give pictures or a network");
  if (options.metrics.empty()) throw UsageError("no metrics are asked for");
  if (!options.ref && any_of_kind(options.metrics, needs_statistics))
    throw UsageError("Missing option '--ref'.");
  if (!options.ref_features && any_of_kind(options.metrics, needs_features))
    throw UsageError(
        "kid, precision, recall, density and coverage compare with the features of a dataset: give "
        "--ref-features, made by edm2 metrics ref --features");
  if (options.network) {
    validate_sampling(options.network->sampling);
    if (options.network->num < 2)
      throw UsageError("statistics need at least 2 images, not " +
                       std::to_string(options.network->num));
  }
  if (options.stats) check_statistics_path(*options.stats, names_of(options.metrics));
}

NamedSource find_detector(DetectorKind kind, const NamedSource& source, const FetchOptions& fetch,
                          Progress& progress) {
  const bool is_inception = kind == DetectorKind::inception;
  if (!is_inception && source.is_web() && !source.is_resolved()) {
    const std::string file = source.text().substr(source.text().rfind('/') + 1);
    for (const fs::path& root : cache_roots(fetch)) {
      const fs::path cached = root / "torch_hub" / "checkpoints" / file;
      std::error_code error;
      if (fs::is_regular_file(cached, error)) return source.resolved_to(cached);
    }
  }
  try {
    return source.resolved(fetch, progress);
  } catch (const UsageError&) {
    throw;
  } catch (const Error& error) {
    throw Error(std::string(error.what()) +
                "; a file with the detector's weights can be given as " +
                (is_inception ? "--inception" : "--dinov2"));
  }
}

Evaluation evaluate(const EvaluateOptions& options, ProcessGroup& group, Progress& progress,
                    const std::function<void(const Score&)>& on_score) {
  validate(options);
  Evaluation result;
  EvaluationFiles files;
  files.device = select_device(options.device);
  FeatureSet reference;
  if (group.is_main()) {
    reference = load_reference(options, progress, files);
    prepare_file(options.stats, "--stats");
    prepare_file(options.features, "--features");
    prepare_file(options.manifest, "--manifest");
  }

  FeaturePassOptions pass;
  pass.keep_features =
      options.error_bars || options.features || any_of_kind(options.metrics, keeps_features);
  OpenStream open;
  std::unique_ptr<PictureSet> pictures;
  std::optional<Sampler> sampler;
  if (options.pictures) {
    pictures =
        group.main_first([&] { return open_input(*options.pictures, options.fetch, progress); });
    pass.count = pictures->size();
    pass.max_batch_size = options.pictures->max_batch_size;
    open = [&](std::vector<Part> parts) {
      return pictures->stream(std::move(parts), options.pictures->workers);
    };
  } else {
    sampler.emplace(
        group.main_first([&] { return load_network(*options.network, options, progress, files); }));
    pass.count = options.network->num;
    pass.max_batch_size = options.network->sampling.max_batch_size;
    open = [&](std::vector<Part> parts) {
      return std::make_unique<GeneratedStream>(*sampler, options.network->first_seed,
                                               std::move(parts));
    };
  }

  const auto detectors = group.main_first([&] {
    return std::make_unique<LoadedDetectors>(options.metrics, options.detectors, files.device,
                                             options.fetch, progress);
  });
  check_fit(options.metrics, reference, *detectors);
  progress.message("Calculating feature statistics...");
  const FeatureSet images = compute_features(detectors->passes, pass, open, group, progress);
  if (!group.is_main()) return result;

  if (options.stats) save_statistics(*options.stats, images.statistics);
  if (options.features) save_features(*options.features, images);
  const ScoreOptions how{options.error_bars, files.device, detectors->inception(),
                         detectors->unusual};
  result.num_images = images.num_images;
  result.pictures_sha256 = images.pictures_sha256;
  result.scores = compute_scores(options.metrics, images, reference, how, progress, on_score);
  files.detectors = detectors->records;
  if (options.manifest) write_manifest(*options.manifest, options, files, result);
  return result;
}

std::string hash_pictures(const PictureInput& input, const FetchOptions& fetch, ProcessGroup& group,
                          Progress& progress) {
  const auto pictures = group.main_first([&] { return open_input(input, fetch, progress); });
  const FeaturePassOptions pass{.count = pictures->size(), .max_batch_size = input.max_batch_size};
  return compute_features(
             {}, pass,
             [&](std::vector<Part> parts) {
               return pictures->stream(std::move(parts), input.workers);
             },
             group, progress)
      .pictures_sha256;
}

void validate(const ReferenceOptions& options) {
  if (options.metrics.empty()) throw UsageError("no metrics are asked for");
  check_statistics_path(options.dest, names_of(options.metrics));
}

void make_reference(const ReferenceOptions& options, ProcessGroup& group, Progress& progress) {
  validate(options);
  const c10::Device device = select_device(options.device);
  if (group.is_main()) {
    prepare_file(options.dest, "--dest");
    prepare_file(options.features, "--features");
  }
  const auto pictures = group.main_first(
      [&] { return open_input({.path = options.data, .num = {}}, options.fetch, progress); });
  const auto detectors = group.main_first([&] {
    return std::make_unique<LoadedDetectors>(options.metrics, options.detectors, device,
                                             options.fetch, progress);
  });
  progress.message("Calculating feature statistics...");
  const FeatureSet set = compute_features(
      detectors->passes, {pictures->size(), options.max_batch_size, options.features.has_value()},
      [&](std::vector<Part> parts) { return pictures->stream(std::move(parts), options.workers); },
      group, progress);
  if (!group.is_main()) return;
  save_statistics(options.dest, set.statistics);
  if (options.features) save_features(*options.features, set);
}

}  // namespace edm2
