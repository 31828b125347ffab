// Whole training runs against those of the original: data order, noise, losses, gradients, weights,
// files.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "edm2/core/progress.h"
#include "edm2/ema/power_function.h"
#include "edm2/nn/network.h"
#include "edm2/train/trainer.h"
#include "support/golden.h"
#include "support/reference_run.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::relative_error;
using test::rms_relative_error;

using test::reference_run;

fs::path reference(const std::string& run) { return reference_run(run); }
TrainOptions options_of(const std::string& run, const fs::path& outdir) {
  return test::reference_options(run, outdir);
}

/// Files of single steps hold a part of the tensors, each another one.
void expect_weights(Precond& network, const fs::path& file, double tolerance) {
  const NpzFile expected(file);
  size_t compared = 0;
  for (const auto& [name, tensor] : network.state_dict()) {
    if (!expected.contains(name)) continue;
    EXPECT_LE(rms_relative_error(tensor, expected.get(name)), tolerance) << name;
    ++compared;
  }
  EXPECT_EQ(compared, expected.names().size()) << file;
  EXPECT_GE(compared, 10u) << file;
}

/// Steps through a reference run and compares every step.
class RunComparison {
 public:
  RunComparison(const std::string& run, const TrainOptions& options)
      : expected_(reference(run) / "per_step.npz"),
        trainer_(options, make_progress(ProgressStyle::quiet)) {
    trainer_.setup();
    trainer_.on_round = [this](const Trainer::Round& round) { compare_round(round); };
  }

  void step() {
    trainer_.step();
    const auto k = steps_++;
    SCOPED_TRACE("step " + std::to_string(k));
    EXPECT_DOUBLE_EQ(trainer_.last_learning_rate(), expected_.get("lr")[k].item<double>());
    const double norm = expected_.get("grad_norm")[k].item<double>();
    double sum = 0;
    const Tensor norms = expected_.get("grad_norm_per_param")[k];
    int64_t i = 0;
    for (const auto& parameter : trainer_.network().named_parameters()) {
      const double own = parameter.tensor->grad().to(at::kDouble).norm().item<double>();
      EXPECT_NEAR(own, norms[i++].item<double>(), 1e-3 * norm) << parameter.name;
      sum += own * own;
    }
    EXPECT_NEAR(std::sqrt(sum), norm, 5e-4 * norm);
  }

  Trainer& trainer() { return trainer_; }
  int64_t rounds() const { return rounds_; }

 private:
  void compare_round(const Trainer::Round& round) {
    const int64_t k = rounds_++, n = round.loss.size(0);
    SCOPED_TRACE("round " + std::to_string(k));
    const Tensor indices = expected_.get("indices").narrow(0, k * n, n);
    EXPECT_TRUE(at::tensor(round.indices, at::kLong).equal(indices));
    EXPECT_LE(relative_error(round.sigma.flatten(), expected_.get("sigma")[k].flatten()), 1e-6);
    const double loss = round.loss.to(at::kDouble).mean().item<double>();
    const double expected_loss = expected_.get("loss_mean")[k].item<double>();
    EXPECT_NEAR(loss, expected_loss, 1e-4 * std::abs(expected_loss));
  }

  NpzFile expected_;
  Trainer trainer_;
  int64_t steps_ = 0, rounds_ = 0;
};

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Numbers that depend on the machine -> #; the run's folder name -> RUN. Our status lines have the
/// loss behind the original's fields.
std::string log_layout(const fs::path& path, const std::string& folder) {
  std::string text = read(path);
  for (size_t at; (at = text.find(folder + "/training-state")) != std::string::npos;)
    text.replace(at, folder.size(), "RUN");
  text = std::regex_replace(text, std::regex(R"(time [0-9dhms ]+sec/tick)"), "time # sec/tick");
  text = std::regex_replace(text, std::regex(R"((reserved [0-9.]+ +) loss [-0-9.e+]+)"), "$1");
  return std::regex_replace(
      text, std::regex(R"((sec/tick|sec/kimg|maintenance|cpumem|gpumem|reserved) [0-9.]+ +)"),
      "$1 # ");
}

std::vector<nlohmann::json> stats_lines(const fs::path& path) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(read(path));
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// Key order matters, so keys are compared as text.
std::vector<std::string> stats_keys(const fs::path& path) {
  std::vector<std::string> lines;
  std::istringstream text(read(path));
  for (std::string line; std::getline(text, line);)
    lines.push_back(std::regex_replace(line, std::regex(R"(": [-+0-9.eNa]+)"), "\": #"));
  return lines;
}

void expect_same_files(const fs::path& ours, const fs::path& theirs, const std::string& run) {
  EXPECT_EQ(log_layout(ours / "log.txt", ours.string()), log_layout(theirs / "log.txt", run));
  const auto our_keys = stats_keys(ours / "stats.jsonl"),
             their_keys = stats_keys(theirs / "stats.jsonl");
  ASSERT_EQ(our_keys.size(), their_keys.size());
  for (size_t i = 0; i < our_keys.size(); ++i) {  // ours has more, behind theirs
    const std::string keys = their_keys[i].substr(0, their_keys[i].size() - 1);
    EXPECT_EQ(our_keys[i].substr(0, keys.size()), keys);
  }
  const auto a = stats_lines(ours / "stats.jsonl"), e = stats_lines(theirs / "stats.jsonl");
  ASSERT_EQ(a.size(), e.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i]["Progress/kimg"], e[i]["Progress/kimg"]);
    if (!e[i].contains("Loss/loss")) continue;
    const double loss = e[i]["Loss/loss"];
    EXPECT_NEAR(a[i]["Loss/loss"].get<double>(), loss, 1e-4 * loss);
    EXPECT_EQ(a[i]["Loss/learning_rate"], e[i]["Loss/learning_rate"]);
  }
}

void expect_snapshot(const fs::path& ours, const fs::path& theirs) {
  const Snapshot a = load_snapshot(ours), e = load_snapshot(theirs);
  EXPECT_EQ(a.network, e.network);
  EXPECT_EQ(a.encoder, e.encoder);
  EXPECT_EQ(a.loss, e.loss);
  ASSERT_EQ(a.tensors.size(), e.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_EQ(a.tensors[i].first, e.tensors[i].first);
    EXPECT_EQ(a.tensors[i].second.scalar_type(), e.tensors[i].second.scalar_type());
    EXPECT_LE(rms_relative_error(a.tensors[i].second, e.tensors[i].second), 1e-3)
        << a.tensors[i].first;
  }
}

}  // namespace

TEST(TrainingMainGolden, EveryStep) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir folder;
  auto options = options_of("main", folder / "main");
  {
    // Initial weights are those of the original bit for bit.
    at::manual_seed(397586535);
    NetworkOptions network = options.network;
    network.img_resolution = 16;
    network.img_channels = 3;
    network.label_dim = 10;
    Precond fresh(network);
    const NpzFile expected(reference("main") / "weights_init.npz");
    for (const auto& [name, tensor] : fresh.state_dict())
      EXPECT_TRUE(tensor.equal(expected.get(name))) << name;
  }
  RunComparison run("main", options);
  const std::map<int, const char*> weights = {{1, "weights_step01.npz"},
                                              {4, "weights_step04.npz"},
                                              {16, "weights_step16.npz"},
                                              {64, "weights_step64.npz"}};
  for (int step = 1; step <= 64; ++step) {
    run.step();
    if (weights.contains(step))
      expect_weights(run.trainer().network(), reference("main") / weights.at(step),
                     step < 10 ? 1e-5 : 1e-3);
  }
}

TEST(TrainingMainGolden, FilesOfAWholeRun) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir folder;
  Trainer trainer(options_of("main", folder / "main"), make_progress(ProgressStyle::quiet));
  trainer.setup();
  trainer.run();
  expect_same_files(folder / "main", reference("main"), "main");
  for (const char* name :
       {"network-snapshot-0000001-0.050.pkl", "network-snapshot-0000001-0.100.pkl",
        "network-snapshot-0000002-0.050.pkl", "network-snapshot-0000002-0.100.pkl"})
    expect_snapshot(folder / "main" / name, reference("main") / name);
  EXPECT_TRUE(fs::exists(folder / "main" / "network-snapshot-0000000-0.050.pkl"));
  EXPECT_TRUE(fs::exists(folder / "main" / "training-state-0000001.pt"));
  EXPECT_TRUE(fs::exists(folder / "main" / "training-state-0000002.pt"));
}

TEST(TrainingAccumGolden, EveryStep) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir folder;
  RunComparison run("accum", options_of("accum", folder / "accum"));
  for (int step = 0; step < 4; ++step) run.step();
  EXPECT_EQ(run.rounds(), 16);
  expect_weights(run.trainer().network(), reference("accum") / "weights_step04.npz", 1e-5);
}

TEST(TrainingDropoutGolden, EveryStepWithTheStoredMasks) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir folder;
  RunComparison run("dropout", options_of("dropout", folder / "dropout"));
  const NpzFile masks(reference("dropout") / "dropout_masks.npz");
  int calls = 0;
  run.trainer().network().context.dropout = [&](const Tensor& y, double p) {
    char name[32];
    std::snprintf(name, sizeof name, "call%03d", calls++);
    return y * test::unpack_bits(masks.get(name + std::string("_bits")),
                                 masks.get(name + std::string("_shape")))
                   .div(1 - p);
  };
  for (int step = 0; step < 4; ++step) run.step();
  EXPECT_EQ(calls, 40);
  expect_weights(run.trainer().network(), reference("dropout") / "weights_step04.npz", 1e-5);
}

TEST(TrainingUncondGolden, EveryStepUnlabelledMirroredAndScaled) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir folder;
  RunComparison run("uncond_xflip", options_of("uncond_xflip", folder / "uncond"));
  for (int step = 0; step < 4; ++step) run.step();
  expect_weights(run.trainer().network(), reference("uncond_xflip") / "weights_step04.npz", 1e-5);
}

TEST(TrainingResumeGolden, ContinuesTheOriginalsState) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir folder;
  const fs::path outdir = folder / "resume";
  fs::create_directories(outdir);
  fs::copy_file(reference("main") / "training-state-0000001.pt",
                outdir / "training-state-0000001.pt");
  auto options = options_of("main", outdir);
  Trainer trainer(options, make_progress(ProgressStyle::quiet));
  trainer.setup();
  EXPECT_EQ(trainer.cur_nimg(), 1024);
  trainer.run();
  expect_weights(trainer.network(), reference("main") / "weights_step64.npz", 1e-3);
  expect_same_files(outdir, reference("resume"), "resume");
  expect_snapshot(outdir / "network-snapshot-0000002-0.050.pkl",
                  reference("main") / "network-snapshot-0000002-0.050.pkl");
}

}  // namespace edm2
