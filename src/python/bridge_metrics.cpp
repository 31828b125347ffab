#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "edm2/core/error.h"
#include "edm2/metrics/detector.h"
#include "edm2/metrics/evaluate.h"
#include "edm2/metrics/pictures.h"
#include "python/arrays.h"
#include "python/bridge_parts.h"
#include "python/translate.h"

namespace edm2::python {
namespace {

class LibraryDetector final : public Detector {
 public:
  explicit LibraryDetector(std::unique_ptr<edm2::Detector> detector)
      : detector_(std::move(detector)) {}

  std::string name() const override { return detector_->network_name(); }
  int64_t feature_dim() const override { return detector_->feature_dim(); }
  Array features(Array pixels) const override {
    return translated([&] {
      const c10::NoGradGuard no_grad;
      const Tensor pictures = to_tensor(std::move(pixels));
      if (pictures.dim() != 4 || pictures.size(1) != 3 || pictures.scalar_type() != at::kByte)
        throw UsageError("pictures must be uint8 [N,3,H,W]");
      return to_array(detector_->features(pictures));
    });
  }

 private:
  std::unique_ptr<edm2::Detector> detector_;
};

class LibraryPictureSet final : public PictureSet {
 public:
  explicit LibraryPictureSet(std::unique_ptr<edm2::PictureSet> pictures)
      : pictures_(std::move(pictures)) {}

  int64_t size() const override { return pictures_->size(); }
  Array picture(int64_t index) const override {
    return translated([&] { return to_array(pictures_->picture(index)); });
  }
  std::vector<std::string> notes() const override { return pictures_->notes(); }

 private:
  std::unique_ptr<edm2::PictureSet> pictures_;
};

}  // namespace

std::unique_ptr<Detector> make_detector(const std::string& kind, const std::string& weights,
                                        const ComputeOptions& compute, const Reporter& reporter) {
  return translated([&]() -> std::unique_ptr<Detector> {
    if (kind != "inception" && kind != "dinov2")
      throw UsageError("'" + kind + "' is no detector; there are 'inception' and 'dinov2'");
    const DetectorKind which = kind == "inception" ? DetectorKind::inception : DetectorKind::dinov2;
    const DetectorSources customary;
    NamedSource source = which == DetectorKind::inception ? customary.inception : customary.dinov2;
    if (!weights.empty()) source = weights;
    const auto progress = make_reporting_progress(reporter);
    const DetectorOptions options{select_device(compute.device),
                                  parse_precision(compute.precision)};
    const NamedSource found = find_detector(which, source, {.offline = compute.offline}, *progress);
    if (which == DetectorKind::inception)
      return std::make_unique<LibraryDetector>(load_inception(found.file(), options));
    return std::make_unique<LibraryDetector>(load_dinov2(found.file(), {.detector = options}));
  });
}

std::unique_ptr<PictureSet> open_picture_set(const std::string& path,
                                             std::optional<int64_t> max_size, int64_t seed) {
  return translated([&] {
    return std::make_unique<LibraryPictureSet>(
        open_pictures({.path = path, .max_size = max_size, .seed = seed}));
  });
}

}  // namespace edm2::python
