// edm2 metrics calc, ref and verify as a user runs them.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/metrics/frechet.h"
#include "support/detector_weights.h"
#include "support/golden.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::read_file;
using test::run_edm2;
using test::RunResult;
using testing::HasSubstr;
using Words = std::vector<std::string>;

Tensor random_pictures(int64_t count, uint64_t seed, int64_t size = 16) {
  at::manual_seed(seed);
  return at::randint(0, 256, {count, 3, size, size}, at::kByte);
}

std::string picture_name(int64_t index) { return "img" + std::to_string(1000 + index) + ".png"; }

/// What is said of a DINOv2 that is not the one of the papers.
std::string small_dino_note() {
  return "Note: '" + test::shared_dinov2_file().string() +
         "': the features are those of DINOv2 vision transformer of 64 dimensions, 2 blocks and "
         "patches of 14, while FD-DINOv2 of papers is computed with ViT-L/14; compare the values "
         "with those of the same network only\n";
}

class MetricsCli : public testing::Test {
 protected:
  MetricsCli() {
    write_folder("real", random_pictures(30, 1));
    write_folder("fake", random_pictures(25, 2));
  }

  void write_folder(const std::string& name, const Tensor& pictures) const {
    fs::create_directories(dir / name);
    for (int64_t i = 0; i < pictures.size(0); ++i)
      write_png(dir / name / picture_name(i), pictures[i]);
  }
  static RunResult metrics(const std::string& command, Words words) {
    words.insert(words.begin(), {"metrics", command, "--dinov2", test::shared_dinov2_file(),
                                 "--inception", test::shared_inception_file()});
    return run_edm2(words);
  }
  static RunResult dino(const std::string& command, Words words) {
    words.push_back("--metrics=fd_dinov2");
    return metrics(command, words);
  }
  void make_reference() const {
    const RunResult run = dino(
        "ref", {"--data", dir / "real", "--dest", dir / "ref.pkl", "--features", dir / "ref.npz"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  FeatureStatistics statistics(const std::string& name, const char* metric = "fd_dinov2") const {
    const StatisticsFile file = load_statistics(dir / name);
    const FeatureStatistics* found = file.find(metric);
    return found ? *found : FeatureStatistics{};
  }

  test::TempDir dir;
};

/// What the commands have computed from other numbers of processes and sizes of batches.
void expect_same(const FeatureStatistics& a, const FeatureStatistics& b, const std::string& what) {
  EXPECT_LT(test::relative_error(a.mu, b.mu), 1e-12) << what;
  EXPECT_LT(test::relative_error(a.sigma, b.sigma), 1e-12) << what;
}

}  // namespace

TEST_F(MetricsCli, PrintsAsTheOriginalDoes) {
  const std::string real = dir / "real", fake = dir / "fake", ref = dir / "sub/ref.pkl";
  const RunResult made = dino("ref", {"--data", real, "--dest", ref});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(made.out, "Loading images from " + real + " ...\nSetting up DINOv2Detector...\n" +
                          small_dino_note() + "Calculating feature statistics...\n");
  EXPECT_EQ(load_statistics(ref).num_images, 30);

  const RunResult run = metrics("calc", {"--images", fake, "--ref", ref, "--num=25"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const size_t result =
      run.out.rfind("Warning: fd_dinov2 over 25 images is larger than over 50000");
  ASSERT_NE(result, std::string::npos) << run.out;
  EXPECT_EQ(run.out.substr(0, run.out.find("Warning: the covariance")),
            "Loading feature statistics from " + ref +
                " ...\nWarning: the reference has nothing for fid, which will be left out\n"
                "Loading images from " +
                fake + " ...\nSetting up InceptionV3Detector...\nSetting up DINOv2Detector...\n" +
                small_dino_note() +
                "Calculating feature statistics...\nNo statistics computed for fid -- skipping.\n"
                "Calculating fd_dinov2...\n");
  EXPECT_THAT(run.out.substr(result), HasSubstr("\nfd_dinov2 = "));
  EXPECT_THAT(run.err, HasSubstr("Calculating feature statistics: 25 images in "));

  const RunResult quiet = dino("calc", {"--images", fake, "--ref", ref, "--num=25", "--quiet"});
  EXPECT_EQ(quiet.out.rfind("fd_dinov2 = ", 0), 0u) << quiet.out;
  EXPECT_EQ(quiet.err, "");
}

TEST_F(MetricsCli, BatchesAndProcessesDoNotMatter) {
  const auto reference = [&](const std::string& name, const Words& more) {
    Words words = {"--data", dir / "real", "--dest", dir / name, "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    const RunResult run = dino("ref", words);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return statistics(name);
  };
  const FeatureStatistics expected = reference("one.pkl", {});
  for (const auto& [batch, processes] :
       {std::pair{"1", "1"}, {"7", "1"}, {"7", "2"}, {"64", "2"}, {"1", "3"}, {"4", "3"}})
    expect_same(reference("other.pkl", {"--batch", batch, "--nproc", processes}), expected,
                std::string("batch ") + batch + ", processes " + processes);
}

TEST_F(MetricsCli, InceptionInManyProcesses) {
  write_folder("few", random_pictures(7, 3));
  FeatureStatistics expected;
  for (const char* processes : {"1", "2", "3"}) {
    const RunResult run =
        metrics("ref", {"--data", dir / "few", "--dest", dir / "few.npz", "--metrics=fid",
                        "--batch=2", "--quiet", "--nproc", processes});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const FeatureStatistics now = statistics("few.npz", "fid");
    if (!expected.mu.defined()) expected = now;
    expect_same(now, expected, processes);
  }
}

TEST_F(MetricsCli, FolderZipAndArrayAreTheSame) {
  make_reference();
  const RunResult converted =
      run_edm2({"dataset", "convert", "--source", dir / "fake", "--dest", dir / "fake.zip"});
  ASSERT_EQ(converted.exit_code, 0) << converted.err;
  write_npz(dir / "fake.npz",
            {{"arr_0", random_pictures(25, 2).permute({0, 2, 3, 1}).contiguous()}});
  std::string first;
  for (const char* name : {"fake", "fake.zip", "fake.npz"}) {
    const RunResult run =
        dino("calc", {"--images", dir / name, "--ref", dir / "ref.pkl", "--num=20", "--json"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    if (first.empty()) first = run.out;
    EXPECT_EQ(run.out, first) << name;
  }
}

TEST_F(MetricsCli, EqualsTheDistanceOfTheStatistics) {
  make_reference();
  const RunResult run = dino("calc", {"--images", dir / "fake", "--ref", dir / "ref.pkl",
                                      "--num=25", "--stats", dir / "fake.pkl", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NEAR(nlohmann::json::parse(run.out).at("fd_dinov2").at("value").get<double>(),
              frechet_distance(statistics("fake.pkl"), statistics("ref.pkl")).value, 1e-10);
}

TEST_F(MetricsCli, MoreScoresFromTheSamePass) {
  make_reference();
  const RunResult run = metrics(
      "calc", {"--images", dir / "fake", "--ref", dir / "ref.pkl", "--ref-features",
               dir / "ref.npz", "--num=25", "--json", "--error-bars",
               "--metrics=fd_dinov2,kd_dinov2,precision_dinov2,recall_dinov2,density_dinov2,"
               "coverage_dinov2"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto json = nlohmann::json::parse(run.out);
  ASSERT_EQ(json.size(), 6u);
  for (const auto& [name, score] : json.items()) {
    EXPECT_TRUE(score.contains("deviation")) << name;
    EXPECT_EQ(score.contains("bias"), name == "fd_dinov2") << name;
  }
  const RunResult text =
      metrics("calc", {"--images", dir / "fake", "--ref-features", dir / "ref.npz", "--num=25",
                       "--metrics=precision_dinov2", "--quiet"});
  EXPECT_EQ(text.out.rfind("precision_dinov2 = ", 0), 0u) << text.out;
  EXPECT_THAT(text.out, HasSubstr(" ± "));
}

TEST_F(MetricsCli, NumberOfPictures) {
  make_reference();
  const auto calc = [&](const Words& more) {
    Words words = {"--images", dir / "fake", "--ref", dir / "ref.pkl", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return dino("calc", words);
  };
  expect_error(calc({}), 1, "Found 25 images, but expected at least 50000");
  expect_error(calc({"--num=26"}), 1, "Found 25 images, but expected at least 26");
  expect_error(calc({"--num=1"}), 2, "'--num'");
  const RunResult fewer = calc({"--allow-fewer"});
  EXPECT_EQ(fewer.exit_code, 0) << fewer.err;
  EXPECT_EQ(fewer.out, calc({"--num=25"}).out);
  EXPECT_NE(calc({"--num=10"}).out, calc({"--num=10", "--seed=1"}).out);
}

TEST_F(MetricsCli, OneSentenceForEachBadInput) {
  make_reference();
  const auto calc = [&](const std::string& images, const Words& more = {}) {
    Words words = {"--images", dir / images, "--ref", dir / "ref.pkl", "--num=4", "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return dino("calc", words);
  };
  write_folder("broken", random_pictures(4, 3));
  write_file(dir / "broken" / picture_name(2), "\x89PNG\r\n\x1a\n and no more");
  expect_error(calc("broken"), 1, picture_name(2));
  expect_error(calc("broken", {"--nproc=2"}), 1, picture_name(2));
  write_folder("sizes", random_pictures(3, 3));
  write_png(dir / "sizes" / picture_name(3), random_pictures(1, 4, 8)[0]);
  expect_error(calc("sizes"), 1, "one size");
  write_folder("grey", random_pictures(4, 3).slice(1, 0, 1));
  expect_error(calc("grey"), 1, "1 channel, expected 3 channels");
  fs::create_directories(dir / "empty");
  expect_error(calc("empty"), 1, "No image files found");
  expect_error(calc("absent"), 1, "absent");
  write_folder("alone", random_pictures(1, 3));
  expect_error(calc("alone", {"--allow-fewer"}), 1, "need at least 2");

  StateDict weights = test::random_dinov2();
  for (auto& [name, tensor] : weights)
    if (name == "norm.bias") tensor[3] = std::numeric_limits<float>::quiet_NaN();
  test::save_state(dir / "nan.pth", weights);
  expect_error(calc("fake", {"--dinov2", dir / "nan.pth"}), 1, "image 0 are not finite");
  expect_error(calc("fake", {"--dinov2", dir / "nan.pth", "--nproc=2"}), 1, "not finite");
  test::save_state(dir / "wide.pth", test::random_dinov2(128, 1));
  expect_error(calc("fake", {"--dinov2", dir / "wide.pth"}), 1,
               "the reference has 64 features an image for 'fd_dinov2', but DINOv2Detector makes "
               "128");
  expect_error(calc("fake", {"--dinov2", dir / "absent.pth"}), 1, "absent.pth");

  expect_error(calc("fake", {"--ref", dir / "absent.pkl"}), 1, "absent.pkl");
  expect_error(calc("fake", {"--stats", dir / "x.npz"}), 2, "holds the statistics of fid alone");
  expect_error(calc("fake", {"--stats", dir / "fake" / picture_name(0) / "x.pkl"}), 1, "--stats");
  expect_error(metrics("calc", {"--images", dir / "fake", "--metrics=kid"}), 2, "--ref-features");
  expect_error(metrics("calc", {"--images", dir / "fake"}), 2, "Missing option '--ref'");
  expect_error(metrics("ref", {"--data", dir / "fake", "--dest", dir / "x.npz"}), 2,
               "an .npz file holds the statistics of fid alone");
}

TEST_F(MetricsCli, ManifestsAreVerified) {
  make_reference();
  const std::string manifest = dir / "score.json";
  const RunResult run = dino("calc", {"--images", dir / "fake", "--ref", dir / "ref.pkl",
                                      "--num=20", "--quiet", "--manifest", manifest});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto verify = [&](const Words& more = {}) {
    Words words = {"metrics", "verify", manifest, "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    return run_edm2(words);
  };
  const RunResult good = verify({"--nproc=2"});
  EXPECT_EQ(good.exit_code, 0) << good.err << good.out;
  for (const char* what : {"reference", "DINOv2", "pictures", "fd_dinov2"})
    EXPECT_THAT(good.out, HasSubstr(std::string("same       ") + what + ": "));
  EXPECT_EQ(verify({"--inputs-only"}).exit_code, 0);

  // The same pictures in another order are another choice.
  write_folder("other", at::flip(random_pictures(25, 2), {0}));
  const RunResult bad = verify({"--images", dir / "other"});
  expect_error(bad, 1, "2 of 4 things differ");
  EXPECT_THAT(bad.out, HasSubstr("DIFFERENT  pictures: "));
  EXPECT_THAT(bad.out, HasSubstr("DIFFERENT  fd_dinov2: "));
  EXPECT_THAT(bad.out, HasSubstr("same       reference: "));
  expect_error(verify({"--images", dir / "other", "--inputs-only"}), 1, "1 of 3 things differ");
  const RunResult json = verify({"--images", dir / "other", "--inputs-only", "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out).size(), 3u);
  expect_error(verify({"--net", dir / "net.pkl"}), 2, "existing pictures");

  write_file(manifest, "{\"manifest\": 1, \"scores\": {}}");
  expect_error(verify(), 1, "damaged manifest");
  write_file(manifest, "no JSON");
  expect_error(verify(), 1, "is no manifest of scores");
}

}  // namespace edm2
