#include "edm2/metrics/evaluate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "edm2/core/error.h"
#include "edm2/generate/network_source.h"
#include "edm2/generate/sampler.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/download_cache.h"
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
  const InceptionDetector* inception() const { return inception_.get(); }

 private:
  void load(DetectorKind kind, const DetectorOptions& options, const FetchOptions& fetch,
            Progress& progress) {
    const bool is_inception = kind == DetectorKind::inception;
    progress.message(std::string("Setting up ") +
                     (is_inception ? "InceptionV3Detector" : "DINOv2Detector") + "...");
    const std::string& source = is_inception ? sources_.inception : sources_.dinov2;
    const fs::path file = find_detector_file(kind, source, fetch, progress);
    const Detector* detector = nullptr;
    if (is_inception) {
      inception_ = load_inception(file, options);
      detector = inception_.get();
    } else {
      dinov2_ = load_dinov2(file, {.detector = options});
      detector = dinov2_.get();
    }
    passes.push_back({kind, detector});
    records.push_back({kind, source, file, detector->resize_method(), detector->precision_name()});
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

/// What the pictures are compared with. Loaded first, so that a bad path is told early.
FeatureSet load_reference(const EvaluateOptions& options, Progress& progress,
                          EvaluationFiles& files) {
  FeatureSet reference;
  if (options.ref) {
    progress.message("Loading feature statistics from " + without_password(*options.ref) + " ...");
    const fs::path file = resolve_source(*options.ref, options.fetch, progress);
    reference.statistics = load_statistics(file);
    files.reference = SourceFile{*options.ref, file};
  }
  if (options.ref_features) {
    progress.message("Loading features from " + without_password(*options.ref_features) + " ...");
    const fs::path file = resolve_source(*options.ref_features, options.fetch, progress);
    reference.features = load_features(file);
    files.reference_features = SourceFile{*options.ref_features, file};
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

std::unique_ptr<PictureSet> open_input(const PictureInput& input, Progress& progress) {
  progress.message("Loading images from " + input.path + " ...");
  auto pictures = open_pictures({input.path, input.num, input.seed});
  const std::string found = "Found " + std::to_string(pictures->size()) + " images, but ";
  if (input.num && pictures->size() < *input.num && !input.allow_fewer)
    throw Error(found + "expected at least " + std::to_string(*input.num));
  if (pictures->size() < 2) throw Error(found + "need at least 2 to compute statistics");
  return pictures;
}

Sampler load_sampler(const NetworkInput& input, const EvaluateOptions& options, Progress& progress,
                     Evaluation& result) {
  progress.message("Loading main network from " + without_password(input.net) + " ...");
  const Snapshot net = load_network_source(input.net, options.fetch, progress);
  Sampler sampler(net, options.device, input.precision);
  sampler.options = input.sampler;
  sampler.class_idx = input.class_idx;
  sampler.max_batch_size = input.max_batch_size;
  result.net_sha256 = weights_sha256(net);
  if (input.sampler.guidance != 1) {
    progress.message("Loading guiding network from " + without_password(*input.gnet) + " ...");
    const Snapshot gnet = load_network_source(*input.gnet, options.fetch, progress);
    sampler.set_guide(gnet, input.sampler.guidance);
    result.gnet_sha256 = weights_sha256(gnet);
  }
  sampler.check();
  progress.message("Setting up " + sampler.encoder().name() + "...");
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
    const NetworkInput& input = *options.network;
    validate(input.sampler);
    if (input.sampler.guidance != 1 && !input.gnet)
      throw Error("Please specify --gnet when using guidance");
  }
}

fs::path find_detector_file(DetectorKind kind, const std::string& source, const FetchOptions& fetch,
                            Progress& progress) {
  const bool is_inception = kind == DetectorKind::inception;
  if (!is_inception && is_web_address(source)) {
    const std::string file = source.substr(source.rfind('/') + 1);
    for (const fs::path& root : cache_roots(fetch)) {
      const fs::path cached = root / "torch_hub" / "checkpoints" / file;
      std::error_code error;
      if (fs::is_regular_file(cached, error)) return cached;
    }
  }
  try {
    return resolve_source(source, fetch, progress);
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
    pictures = open_input(*options.pictures, progress);
    pass.count = pictures->size();
    pass.max_batch_size = options.pictures->max_batch_size;
    open = [&](std::vector<Part> parts) {
      return pictures->stream(std::move(parts), options.pictures->workers);
    };
  } else {
    sampler = load_sampler(*options.network, options, progress, result);
    pass.count = options.network->num;
    pass.max_batch_size = options.network->max_batch_size;
    open = [&](std::vector<Part> parts) {
      return std::make_unique<GeneratedStream>(*sampler, options.network->first_seed,
                                               std::move(parts));
    };
  }

  const LoadedDetectors detectors(options.metrics, options.detectors, files.device, options.fetch,
                                  progress);
  progress.message("Calculating feature statistics...");
  const FeatureSet images = compute_features(detectors.passes, pass, open, group, progress);
  if (!group.is_main()) return result;

  if (options.stats) save_statistics(*options.stats, images.statistics);
  if (options.features) save_features(*options.features, images);
  const ScoreOptions how{options.error_bars, files.device, detectors.inception()};
  result.num_images = images.num_images;
  result.pictures_sha256 = images.pictures_sha256;
  result.scores = compute_scores(options.metrics, images, reference, how, progress, on_score);
  files.detectors = detectors.records;
  if (options.manifest) write_manifest(*options.manifest, options, files, result);
  return result;
}

void make_reference(const ReferenceOptions& options, ProcessGroup& group, Progress& progress) {
  const c10::Device device = select_device(options.device);
  if (group.is_main()) {
    prepare_file(options.dest, "--dest");
    prepare_file(options.features, "--features");
  }
  const auto pictures = open_input({.path = options.data, .num = {}}, progress);
  const LoadedDetectors detectors(options.metrics, options.detectors, device, options.fetch,
                                  progress);
  progress.message("Calculating feature statistics...");
  const FeatureSet set = compute_features(
      detectors.passes, {pictures->size(), options.max_batch_size, options.features.has_value()},
      [&](std::vector<Part> parts) { return pictures->stream(std::move(parts), options.workers); },
      group, progress);
  if (!group.is_main()) return;
  save_statistics(options.dest, set.statistics);
  if (options.features) save_features(*options.features, set);
}

}  // namespace edm2
