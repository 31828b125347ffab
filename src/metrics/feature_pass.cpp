#include "edm2/metrics/feature_pass.h"

#include <ATen/ATen.h>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/digest.h"
#include "edm2/io/npz.h"
#include "generate/background_jobs.h"
#include "io/foreign_content.h"
#include "metrics/names_found.h"

namespace edm2 {
namespace {

/// What the first process gathers for one detector.
struct Collected {
  explicit Collected(int64_t dim) : accumulator(dim) {}
  FeatureAccumulator accumulator;
  std::vector<Tensor> kept;

  void add(const Tensor& features, bool keep) {
    accumulator.append(features);
    if (keep) kept.push_back(features.cpu());
  }
};

/// The features of all processes in the order of their parts, on the first one.
std::vector<Tensor> gather_features(const Tensor& own, ProcessGroup& group) {
  if (group.size() == 1) return {own};
  return group.gather(own.cpu());
}

std::string shape_text(const Tensor& pictures) {
  std::string text;
  for (int64_t axis = 1; axis < pictures.dim(); ++axis)
    text += std::to_string(pictures.size(axis)) + (axis + 1 < pictures.dim() ? "x" : "\n");
  return text;
}

}  // namespace

Tensor FeatureSet::find_features(const std::string& name) const {
  for (const auto& [key, tensor] : features)
    if (key == name) return tensor;
  return {};
}

FeatureSet compute_features(const std::vector<PassDetector>& detectors,
                            const FeaturePassOptions& options, const OpenStream& open,
                            ProcessGroup& group, Progress& progress) {
  const std::vector<Part> parts = split_among(options.count, options.max_batch_size, group.size());
  const auto processes = static_cast<size_t>(group.size()),
             rank = static_cast<size_t>(group.rank());
  std::vector<Part> own;
  for (size_t i = rank; i < parts.size(); i += processes)
    if (parts[i].size() > 0) own.push_back(parts[i]);
  const auto stream = open(own);

  std::vector<Collected> collected;
  for (const PassDetector& entry : detectors) collected.emplace_back(entry.detector->feature_dim());
  std::string digests;
  // Features are added up while the detectors see the next pictures; one thread keeps the order.
  BackgroundJobs adding(/*threads=*/1, /*most_waiting=*/4);
  progress.start("Calculating feature statistics", options.count, "image");
  for (size_t begin = 0; begin < parts.size(); begin += processes) {
    check_interrupt();
    PictureBatch batch;  // all processes meet in every round, those without a part too
    if (parts[begin + rank].size() > 0) batch = stream->next();
    for (size_t d = 0; d < detectors.size(); ++d) {
      const Detector& detector = *detectors[d].detector;
      const Tensor features = batch.pixels.defined() ? detector.features(batch.pixels)
                                                     : at::empty({0, detector.feature_dim()});
      for (const Tensor& piece : gather_features(features, group)) {
        if (piece.size(0) == 0) continue;
        // Sums are made where the features are, not where they were gathered.
        adding.add([&target = collected[d], rows = piece.to(features.device()),
                    keep = options.keep_features] { target.add(rows, keep); });
      }
    }
    if (begin == 0 && group.is_main()) digests = shape_text(batch.pixels);
    for (const std::string& text : group.gather(batch.digests)) digests += text;
    progress.advance(parts[begin + processes - 1].end - parts[begin].begin);
  }
  adding.finish();
  progress.finish();
  if (!group.is_main()) return {};

  FeatureSet set;
  set.num_images = options.count;
  set.statistics.num_images = options.count;
  for (size_t d = 0; d < detectors.size(); ++d) {
    const std::string name = statistics_name(detectors[d].kind);
    set.statistics.metrics.emplace_back(name, collected[d].accumulator.finish());
    if (options.keep_features) set.features.emplace_back(name, at::cat(collected[d].kept));
  }
  set.pictures_sha256 = sha256_hex(std::as_bytes(std::span(digests)));
  return set;
}

void save_features(const std::filesystem::path& path, const FeatureSet& set) {
  write_npz(path, set.features);
}

std::vector<std::pair<std::string, Tensor>> load_features(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !is_zip_file(path))
    throw Error("'" + path.string() + "' holds no features: it is no .npz archive" +
                in_brackets(describe_file(path)));
  const NpzFile file(path);
  std::vector<std::pair<std::string, Tensor>> result;
  for (const DetectorKind kind : {DetectorKind::inception, DetectorKind::dinov2}) {
    const std::string name = statistics_name(kind);
    if (!file.contains(name)) continue;
    const Tensor features = file.get(name);
    if (features.dim() != 2 || !at::isFloatingType(features.scalar_type()))
      throw Error("'" + name + "' in '" + path.string() + "' is no array of features [N,D]");
    if (!at::isfinite(features).all().item<bool>())
      throw Error("'" + name + "' in '" + path.string() + "' holds numbers that are not finite");
    result.emplace_back(name, features.to(at::kFloat));
  }
  if (result.empty())
    throw Error("'" + path.string() + "' holds no features (arrays 'fid' or 'fd_dinov2'); it has " +
                names_found(file.names()) +
                (file.contains("mu") ? "; statistics are given as --ref" : ""));
  return result;
}

}  // namespace edm2
