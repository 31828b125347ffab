// edm2 metrics gen: scores of pictures that are written nowhere.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/metrics/statistics.h"
#include "edm2/nn/snapshot.h"
#include "support/detector_weights.h"
#include "support/golden.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

using test::expect_error;
using test::run_edm2;
using test::RunResult;
using testing::HasSubstr;
using Words = std::vector<std::string>;

class MetricsGenCli : public testing::Test {
 protected:
  MetricsGenCli() {
    save_snapshot(dir / "net.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
    save_snapshot(dir / "guide.pkl", test::small_snapshot(0, 8), SnapshotFormat::pickle);
    const RunResult drawn = run_edm2({"generate", "--net", dir / "net.pkl", "--outdir", dir / "ref",
                                      "--seeds=100-129", "--steps=2", "--quiet"});
    EXPECT_EQ(drawn.exit_code, 0) << drawn.err;
    const RunResult made = metrics({"ref", "--data", dir / "ref", "--dest", dir / "ref.pkl"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
  }

  static RunResult metrics(Words words) {
    words.insert(words.begin(), "metrics");
    words.insert(words.end(), {"--metrics=fd_dinov2", "--dinov2", test::shared_dinov2_file()});
    return run_edm2(words);
  }
  RunResult gen(const Words& more) const {
    Words words = {"gen", "--net",     dir / "net.pkl", "--ref",   dir / "ref.pkl", "--num",
                   "12",  "--steps=3", "--json",        "--stats", dir / "gen.pkl"};
    words.insert(words.end(), more.begin(), more.end());
    return metrics(words);
  }
  FeatureStatistics statistics(const std::string& name) const {
    return load_statistics(dir / name).metrics.at(0).second;
  }

  test::TempDir dir;
};

const Words guided = {
    "--gnet",         "GUIDE",          "--guidance=1.6", "--guidance-interval=0.1,20",
    "--sigma_max=50", "--solver=euler", "--class=2"};

Words with_guide(Words words, const std::string& guide) {
  std::replace(words.begin(), words.end(), std::string("GUIDE"), guide);
  return words;
}

}  // namespace

TEST_F(MetricsGenCli, LabelVectors) {
  const RunResult by_vector = gen({"--label-vector=0,0,1,0,0"});
  ASSERT_EQ(by_vector.exit_code, 0) << by_vector.err;
  EXPECT_EQ(by_vector.out, gen({"--class=2"}).out);
  EXPECT_NE(by_vector.out, gen({"--label-vector=0,1,0,0,0"}).out);
  EXPECT_EQ(gen({"--label-vector=0,0,1,0,0", "--class=2"}).exit_code, 2);
  EXPECT_EQ(gen({"--label-vector=0,1"}).exit_code, 1);
}

TEST_F(MetricsGenCli, EqualsGenerateAndCalc) {
  const Words options = with_guide(guided, dir / "guide.pkl");
  Words draw = {"generate",  "--net",         dir / "net.pkl", "--outdir",
                dir / "out", "--seeds=50-61", "--steps=3",     "--quiet"};
  draw.insert(draw.end(), options.begin(), options.end());
  ASSERT_EQ(run_edm2(draw).exit_code, 0);
  const RunResult calc =
      metrics({"calc", "--images", dir / "out", "--ref", dir / "ref.pkl", "--num=12", "--json"});
  ASSERT_EQ(calc.exit_code, 0) << calc.err;
  Words words = {"--seed=50"};
  words.insert(words.end(), options.begin(), options.end());
  const RunResult run = gen(words);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, calc.out);
  EXPECT_NE(gen({"--seed=50"}).out, run.out);
}

TEST_F(MetricsGenCli, BatchesAndProcessesDoNotMatter) {
  FeatureStatistics expected;
  std::string score;
  for (const auto& [batch, processes] :
       {std::pair{"12", "1"}, {"5", "1"}, {"1", "1"}, {"4", "2"}, {"3", "3"}, {"64", "3"}}) {
    const RunResult run = gen({"--batch", batch, "--nproc", processes});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const FeatureStatistics now = statistics("gen.pkl");
    if (!expected.mu.defined()) expected = now;
    EXPECT_LT(test::relative_error(now.mu, expected.mu), 1e-12) << batch << " " << processes;
    EXPECT_LT(test::relative_error(now.sigma, expected.sigma), 1e-12) << batch << " " << processes;
  }
}

TEST_F(MetricsGenCli, TellsAsTheOriginalDoes) {
  const RunResult run =
      metrics({"gen", "--net", dir / "net.pkl", "--ref", dir / "ref.pkl", "--num=4", "--steps=1"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out.rfind("Loading feature statistics from " + (dir / "ref.pkl").string() +
                              " ...\nLoading main network from " + (dir / "net.pkl").string() +
                              " ...\nSetting up StandardRGBEncoder...\nGenerating 4 images...\n"
                              "Setting up DINOv2Detector...\nNote: '" +
                              test::shared_dinov2_file().string() + "': the features are those of ",
                          0),
            0u)
      << run.out;
  EXPECT_THAT(run.out,
              HasSubstr("\nCalculating feature statistics...\nCalculating fd_dinov2...\n"));
  EXPECT_THAT(run.out, HasSubstr("\nfd_dinov2 = "));
}

TEST_F(MetricsGenCli, ManifestsNameTheNetworks) {
  Words words = {"--manifest", dir / "score.json"};
  for (const std::string& word : with_guide(guided, dir / "guide.pkl")) words.push_back(word);
  ASSERT_EQ(gen(words).exit_code, 0);
  const Words verify = {"metrics", "verify", dir / "score.json", "--quiet"};
  const RunResult good = run_edm2(verify);
  EXPECT_EQ(good.exit_code, 0) << good.err << good.out;
  for (const char* what : {"network", "guiding network", "pictures", "fd_dinov2"})
    EXPECT_THAT(good.out, HasSubstr(std::string("same       ") + what + ": "));
  // The same network in another kind of file is the same; another network is not.
  save_snapshot(dir / "net.safetensors", load_snapshot(dir / "net.pkl"),
                SnapshotFormat::safetensors);
  const auto with_net = [&](const std::string& name) {
    Words more = verify;
    more.insert(more.end(), {"--net", dir / name});
    return run_edm2(more);
  };
  EXPECT_EQ(with_net("net.safetensors").exit_code, 0);
  save_snapshot(dir / "other.pkl", test::small_snapshot(5, 9), SnapshotFormat::pickle);
  const RunResult bad = with_net("other.pkl");
  expect_error(bad, 1, "3 of 6 things differ");
  EXPECT_THAT(bad.out, HasSubstr("DIFFERENT  network: "));
}

TEST_F(MetricsGenCli, OneSentenceForEachMistake) {
  expect_error(metrics({"gen", "--ref", dir / "ref.pkl"}), 2, "Missing option '--net'");
  expect_error(gen({"--guidance=2"}), 1, "Please specify --gnet when using guidance");
  expect_error(gen({"--num=1"}), 2, "'--num'");
  expect_error(gen({"--class=7"}), 1, "7");
  expect_error(gen({"--net", dir / "ref.pkl"}), 1, "ref.pkl");
  expect_error(gen({"--net", dir / "absent.pkl", "--nproc=2"}), 1, "absent.pkl");
}

}  // namespace edm2
