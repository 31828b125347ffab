// Training in real processes: this test program starts itself, once for each of them.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/process_launch.h"
#include "edm2/core/random.h"
#include "edm2/data/loader.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/digest.h"
#include "edm2/io/npz.h"
#include "edm2/nn/network.h"
#include "edm2/train/trainer.h"
#include "support/paths.h"
#include "support/small_models.h"
#include "support/small_training.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* scenario_variable = "EDM2_TEST_SCENARIO";

json read_json(const fs::path& path) { return json::parse(std::ifstream(path)); }

TrainOptions options_of(const json& scenario) {
  const int64_t label_dim = scenario.value("labels", true) ? 3 : 0;
  TrainOptions o = test::small_training(scenario.at("data").get<std::string>(),
                                        scenario.at("outdir").get<std::string>(), label_dim);
  o.network = test::tiny_options(label_dim, 8, 16);
  o.network.dropout = 0.1;
  o.learning_rate = {.ref_lr = 0.01, .ref_batches = 100, .rampup_nimg = 0};
  o.batch_size = scenario.at("batch").get<int64_t>();
  if (const auto limit = scenario.value("batch_gpu", int64_t{0}); limit > 0) o.batch_gpu = limit;
  o.total_nimg = scenario.at("images").get<int64_t>();
  o.status_nimg = o.total_nimg;
  if (const auto interval = scenario.value("checkpoint", int64_t{0}); interval > 0)
    o.checkpoint_nimg = interval;
  o.on_nonfinite = parse_on_nonfinite(scenario.value("on_nonfinite", "zero"));
  if (const auto interval = scenario.value("sample_every", int64_t{0}); interval > 0) {
    o.samples.every_nimg = interval;
    o.samples.count = 3;
    o.samples.num_steps = 2;
  }
  o.streams = parse_streams(scenario.at("streams").get<std::string>());
  o.seed = 5;
  o.data_threads = 1;
  return o;
}

std::string digest_of(Precond& network) {
  std::string digests;
  for (const auto& [name, tensor] : network.state_dict())
    digests +=
        sha256_hex({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
  return sha256_hex(std::as_bytes(std::span(digests)));
}

/// What one process saw of each image, and its weights at the end.
void run_worker(const json& scenario, const std::string& record_path) {
  const auto environment = read_process_environment();
  ProcessGroup group(environment);
  Trainer trainer(options_of(scenario), make_progress(ProgressStyle::quiet), group);
  trainer.setup();
  json images = json::array();
  trainer.on_round = [&](const Trainer::Round& round) {
    const Tensor losses = round.loss.to(at::kDouble).mean({1, 2, 3});
    for (size_t i = 0; i < round.positions.size(); ++i)
      images.push_back({{"position", round.positions[i]},
                        {"index", round.indices[i]},
                        {"sigma", round.sigma.flatten()[static_cast<int64_t>(i)].item<float>()},
                        {"loss", losses[static_cast<int64_t>(i)].item<double>()}});
  };
  trainer.run();
  std::ofstream(record_path + std::to_string(group.rank()))
      << json{{"images", images}, {"weights", digest_of(trainer.network())}};
  group.barrier();
}

struct Record {
  std::map<int64_t, json> images;  // by position in the run
  std::vector<json> ranks;
  std::string weights;

  /// Mean over the step's images.
  std::vector<double> losses(int64_t batch) const {
    std::vector<double> means;
    double sum = 0;
    int64_t count = 0;
    for (const auto& [position, image] : images) {
      sum += image.at("loss").get<double>();
      if (++count % batch == 0) means.push_back(std::exchange(sum, 0) / static_cast<double>(batch));
    }
    return means;
  }
};

class ParallelTraining : public testing::Test {
 protected:
  void SetUp() override { test::write_small_dataset(dir / "data"); }

  Record run(int processes, json scenario) {
    static int number = 0;
    const std::string base = (dir / ("scenario" + std::to_string(++number))).string();
    scenario["data"] = (dir / "data").string();
    if (!scenario.contains("outdir")) scenario["outdir"] = base + "-run";
    std::ofstream(base) << scenario;
    setenv(scenario_variable, base.c_str(), 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    const LaunchResult result =
        launch_processes(executable_path(),
                         {"--gtest_filter=ParallelTrainingWorker.*",
                          "--gtest_also_run_disabled_tests", "--gtest_brief=1"},
                         processes);
    unsetenv(scenario_variable);
    EXPECT_EQ(result.exit_code, 0) << (result.untold ? result.untold->describe() : "");
    Record record;
    for (int rank = 0; rank < processes; ++rank) {
      record.ranks.push_back(read_json(base + std::to_string(rank)));
      for (const auto& image : record.ranks.back().at("images"))
        EXPECT_TRUE(record.images.emplace(image.at("position").get<int64_t>(), image).second);
      record.weights = record.ranks.back().at("weights").get<std::string>();
      EXPECT_EQ(record.weights, record.ranks[0].at("weights").get<std::string>())
          << "rank " << rank;
    }
    return record;
  }

  test::TempDir dir;
};

void expect_same_draws(const Record& record, const Record& expected) {
  ASSERT_EQ(record.images.size(), expected.images.size());
  for (const auto& [position, image] : expected.images) {
    EXPECT_EQ(record.images.at(position).at("index"), image.at("index")) << position;
    EXPECT_EQ(record.images.at(position).at("sigma"), image.at("sigma")) << position;
  }
}

void expect_same_losses(const std::vector<double>& losses, const std::vector<double>& expected,
                        const std::string& what) {
  ASSERT_EQ(losses.size(), expected.size());
  double worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(losses[i], expected[i], 1e-5 * std::abs(expected[i])) << what << ", step " << i;
    worst = std::max(worst, std::abs(losses[i] / expected[i] - 1));
  }
  testing::Test::RecordProperty("worst_" + what, std::to_string(worst));
  std::cout << what << ": largest relative difference of a step's loss " << worst << "\n";
}

}  // namespace

TEST(ParallelTrainingWorker, DISABLED_Runs) {
  const char* path = std::getenv(scenario_variable);
  ASSERT_NE(path, nullptr);
  run_worker(read_json(path), path);
}

TEST_F(ParallelTraining, StreamsByImageChangeNothingButRounding) {
  const json scenario = {{"batch", 8}, {"images", 160}, {"streams", "image"}};
  const auto with_limit = [&](int64_t batch_gpu) {
    json limited = scenario;
    limited["batch_gpu"] = batch_gpu;
    return limited;
  };
  const Record one = run(1, scenario);
  ASSERT_EQ(one.images.size(), 160u);
  const std::vector<double> expected = one.losses(8);
  EXPECT_NE(expected[19], expected[18]);
  const std::pair<std::string, Record> others[] = {
      {"1 process, 4 rounds", run(1, with_limit(2))},
      {"2 processes", run(2, scenario)},
      {"2 processes, 2 rounds", run(2, with_limit(2))},
      {"4 processes", run(4, scenario)},
      {"4 processes, 2 rounds", run(4, with_limit(1))}};
  for (const auto& [what, record] : others) {
    expect_same_draws(record, one);
    expect_same_losses(record.losses(8), expected, what);
  }
}

TEST_F(ParallelTraining, StoppedOnTwoProcessesResumesOnFour) {
  json scenario = {{"batch", 128}, {"streams", "image"}, {"checkpoint", 1024}, {"images", 2048}};
  const Record whole = run(1, scenario);
  scenario["outdir"] = (dir / "moved").string();
  scenario["images"] = 1024;
  const Record begun = run(2, scenario);
  scenario["images"] = 2048;
  Record rest = run(4, scenario);
  EXPECT_EQ(rest.images.begin()->first, 1024);
  rest.images.insert(begun.images.begin(), begun.images.end());
  expect_same_draws(rest, whole);
  expect_same_losses(rest.losses(128), whole.losses(128), "2, then 4 processes");
}

TEST_F(ParallelTraining, DefaultStreamsAreTheOriginalsAndRepeatBitForBit) {
  const json scenario = {{"batch", 12}, {"images", 48}, {"streams", "rank"}, {"batch_gpu", 2}};
  const Record first = run(3, scenario);
  const Record second = run(3, scenario);
  EXPECT_EQ(second.weights, first.weights);
  EXPECT_EQ(second.ranks, first.ranks) << "losses and draws, to the last bit";
  const Record other = run(2, scenario);
  EXPECT_NE(other.weights, first.weights);

  // Seeds (seed, rank, images so far); image r + W k of a step goes to process r.
  const TrainOptions options = options_of(
      {{"data", ""}, {"outdir", ""}, {"batch", 12}, {"images", 48}, {"streams", "rank"}});
  for (int rank = 0; rank < 3; ++rank) {
    InfiniteSampler order(10, rank, 3, options.seed, 0);
    const json& images = first.ranks[static_cast<size_t>(rank)].at("images");
    ASSERT_EQ(images.size(), 16u);
    for (size_t i = 0; i < images.size(); ++i) {
      EXPECT_EQ(images[i].at("position"), rank + 3 * static_cast<int64_t>(i));
      EXPECT_EQ(images[i].at("index"), order.next());
      if (i % 4 != 0) continue;  // a step's first draw is the noise level of its first round
      set_seed({options.seed, rank, 12 * static_cast<int64_t>(i / 4)});
      const Tensor normal = at::randn({2, 1, 1, 1});
      const Tensor sigma = (normal * options.P_std + options.P_mean).exp().flatten();
      for (int64_t k = 0; k < 2; ++k)
        EXPECT_EQ(images[i + static_cast<size_t>(k)].at("sigma").get<float>(),
                  sigma[k].item<float>());
    }
  }
}

TEST_F(ParallelTraining, StatisticsAreThoseOfAllProcesses) {
  json scenario = {{"batch", 8}, {"images", 16}, {"streams", "image"}};
  std::vector<json> lines;
  for (const int processes : {1, 4}) {
    scenario["outdir"] = (dir / std::to_string(processes)).string();
    run(processes, scenario);
    std::ifstream file(dir / std::to_string(processes) / "stats.jsonl");
    std::string line, last;
    while (std::getline(file, line)) last = line;
    lines.push_back(json::parse(last));
    // Of two writers that take turns TensorBoard's page would lose points.
    int event_files = 0;
    for (const auto& entry : fs::directory_iterator(dir / std::to_string(processes)))
      event_files += entry.path().filename().string().starts_with("events.out") ? 1 : 0;
    EXPECT_EQ(event_files, 1) << processes;
  }
  EXPECT_NEAR(lines[1].at("Loss/loss"), lines[0].at("Loss/loss"),
              2e-5 * lines[0].at("Loss/loss").get<double>());
  EXPECT_EQ(lines[1].at("Progress/kimg"), lines[0].at("Progress/kimg"));
  EXPECT_EQ(lines[1].at("Loss/learning_rate"), lines[0].at("Loss/learning_rate"));
  int ours = 0;  // keys of ours
  for (const auto& [key, value] : lines[0].items()) {
    if (!key.starts_with("Loss/sigma_") && key.find("Norm/") == std::string::npos) continue;
    EXPECT_NEAR(lines[1].at(key), value, 1e-4 * value.get<double>()) << key;
    ++ours;
  }
  EXPECT_GT(ours, 16);
}

TEST_F(ParallelTraining, AllDecideAlikeAboutGradientsThatAreNotFinite) {
  fs::remove_all(dir / "data");
  fs::create_directories(dir / "data");
  at::manual_seed(2);
  for (int i = 0; i < 8; ++i) {
    Tensor image = at::rand({3, 8, 8}) * 255;
    if (i == 3) image[1][2][3] = NAN;  // one process's gradients
    std::ofstream(dir / "data" / ("img" + std::to_string(i) + ".npy"), std::ios::binary)
        << npy_bytes(image);
  }
  json scenario = {{"batch", 4},
                   {"images", 24},
                   {"streams", "rank"},
                   {"labels", false},
                   {"on_nonfinite", "skip"},
                   {"sample_every", 8},
                   {"outdir", (dir / "skip").string()}};
  const Record with_pictures = run(2, scenario);
  const std::string log = read_text_file(dir / "skip" / "log.txt");
  EXPECT_NE(log.find("this step is skipped"), std::string::npos) << log;
  EXPECT_NE(log.find("since the last status 3 steps"), std::string::npos) << log;
  EXPECT_TRUE(fs::exists(dir / "skip" / "samples" / "samples-0000000-0.050.png"));
  // While the first process draws pictures the others wait, and nobody's numbers change.
  scenario["sample_every"] = 0;
  scenario["outdir"] = (dir / "plain").string();
  EXPECT_EQ(run(2, scenario).weights, with_pictures.weights);
  scenario["on_nonfinite"] = "zero";
  scenario["outdir"] = (dir / "zero").string();
  EXPECT_NE(run(2, scenario).weights, with_pictures.weights);
}

TEST(TrainOptionsOfProcesses, MustDivideTheBatch) {
  TrainOptions options;
  options.batch_size = 12;
  options.total_nimg = 120;
  options.status_nimg = options.snapshot_nimg = options.checkpoint_nimg = std::nullopt;
  const auto error_of = [&](int processes) -> std::string {
    try {
      validate(options, processes);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(error_of(3), "");
  EXPECT_EQ(error_of(5), "--batch=12 is not divisible by the 5 processes; choose a multiple");
  options.batch_gpu = 4;
  EXPECT_EQ(error_of(3), "");
  EXPECT_EQ(error_of(2),
            "--batch=12, which is 6 for each of 2 processes, is not divisible by --batch-gpu=4; "
            "choose a divisor of the batch");
  options.batch_gpu = 5;
  EXPECT_EQ(error_of(1),
            "--batch=12 is not divisible by --batch-gpu=5; choose a divisor of the batch");
}

}  // namespace edm2
