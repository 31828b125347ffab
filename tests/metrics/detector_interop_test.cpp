// Detectors against the networks of pytorch-fid and timm, with random weights.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "edm2/metrics/detector.h"
#include "support/golden.h"
#include "support/python.h"

namespace edm2 {
namespace {

constexpr const char* no_python =
    "no Python with torchvision, pytorch-fid, timm and safetensors (set EDM2_TORCH_PYTHON or "
    "EDM2_INTEROP_VENV)";

void compare_inception(const std::filesystem::path& file, const NpzFile& expected) {
  const auto detector = load_inception(file);
  for (const std::string size : {"64", "299", "512"}) {
    const Tensor features = detector->features(expected.get("pictures_" + size));
    const double error = test::relative_error(features, expected.get("features_" + size));
    ::testing::Test::RecordProperty("features_" + size, std::to_string(error * 1e6) + "e-6");
    EXPECT_LT(error, 1e-4) << file << " " << size;
    EXPECT_LT(test::relative_error(at::softmax(detector->class_logits(features), 1),
                                   expected.get("probabilities_" + size)),
              1e-3)
        << file << " " << size;
  }
}

void compare_dinov2(const std::string& python, const std::string& name, int64_t dim) {
  const test::TempDir dir;
  test::run_interop_script(python, "detectors.py", {"dinov2", dir.path().string(), name});
  const NpzFile expected(dir / "expected.npz");
  for (const char* file : {"dinov2.pth", "dinov2.safetensors"}) {
    const auto detector = load_dinov2(dir / file);
    EXPECT_EQ(detector->feature_dim(), dim);
    const double error = test::relative_error(detector->features(expected.get("pictures")),
                                              expected.get("features"));
    ::testing::Test::RecordProperty(file, std::to_string(error * 1e6) + "e-6");
    EXPECT_LT(error, 1e-3) << file;
  }
}

}  // namespace

TEST(InceptionInterop, EqualsPytorchFid) {
  const std::string python = test::find_python("torchvision, pytorch_fid");
  if (python.empty()) GTEST_SKIP() << no_python;
  const test::TempDir dir;
  test::run_interop_script(python, "detectors.py", {"inception", dir.path().string()});
  const NpzFile expected(dir / "expected.npz");
  for (const char* file : {"inception.pth", "inception.pt", "inception.pkl"})
    compare_inception(dir / file, expected);
}

TEST(Dinov2Interop, SmallEqualsTimm) {
  const std::string python = test::find_python("timm, safetensors.torch");
  if (python.empty()) GTEST_SKIP() << no_python;
  compare_dinov2(python, "vit_small_patch14_dinov2", 384);
}

TEST(Dinov2Interop, LargeEqualsTimm) {
  const std::string python = test::find_python("timm, safetensors.torch");
  if (python.empty()) GTEST_SKIP() << no_python;
  compare_dinov2(python, "vit_large_patch14_dinov2", 1024);
}

TEST(Dinov2Interop, GatedEqualsTimm) {
  const std::string python = test::find_python("timm, safetensors.torch");
  if (python.empty()) GTEST_SKIP() << no_python;
  compare_dinov2(python, "tiny-gated", 128);
}

}  // namespace edm2
