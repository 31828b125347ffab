#include "edm2/ema/reconstruct.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "edm2/core/error.h"
#include "edm2/ema/snapshots.h"
#include "edm2/io/safetensors.h"
#include "ema/snapshot_writer.h"
#include "support/checks.h"
#include "support/golden.h"
#include "support/paths.h"
#include "support/pickle_protocols.h"
#include "support/recording_progress.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

std::string error_of(const ReconstructOptions& options) {
  test::RecordingProgress progress;
  try {
    reconstruct_phema(options, progress);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A run of `times` steps of 1024 images with two lengths; all tensors random.
struct SavedRun {
  test::TempDir dir;
  fs::path indir = dir / "in", outdir = dir / "out";
  std::vector<Snapshot> snapshots;  // in the order of time and width

  explicit SavedRun(int times, SnapshotFormat format = SnapshotFormat::pickle)
      : snapshots(test::write_snapshots(indir, times, format)) {}

  ReconstructOptions options(std::vector<double> stds) const {
    ReconstructOptions result;
    result.indir = indir.string();
    result.outdir = outdir;
    result.outstds = std::move(stds);
    return result;
  }

  std::vector<EmaProfile> profiles() const {
    std::vector<EmaProfile> result;
    for (size_t i = 0; i < snapshots.size(); ++i)
      result.push_back({static_cast<int64_t>(1024 * (i / 2 + 1)), i % 2 ? 0.1 : 0.05});
    return result;
  }

  // The plain version: what the original's loop does, by libtorch. float32.
  StateDict sums(double std) const {
    const EmaProfile target{static_cast<int64_t>(512 * snapshots.size()), std};
    const auto solution = solve_posthoc(profiles(), std::span(&target, 1)).front();
    StateDict result;
    for (size_t t = 0; t < snapshots[0].tensors.size(); ++t) {
      const auto& [name, first] = snapshots[0].tensors[t];
      const bool is_buffer = name.ends_with("freqs") || name.ends_with("phases");
      Tensor sum = at::zeros(first.sizes());
      for (size_t i = 0; i < snapshots.size(); ++i) {
        const Tensor weight = snapshots[i].tensors[t].second.to(at::kFloat);
        if (is_buffer)
          sum = weight;
        else
          sum.add_(weight.mul(solution.coefficients[i]));
      }
      result.emplace_back(name, sum);
    }
    return result;
  }
};

void reconstruct(const ReconstructOptions& options) {
  test::RecordingProgress progress;
  reconstruct_phema(options, progress);
}

}  // namespace

TEST(ReconstructGolden, WeightsOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path reference = test::reference_dir() / "phema";
  struct Case {
    std::string name;
    std::vector<double> stds;
    std::optional<int64_t> kimg;
    std::vector<double> instds;
  };
  const test::TempDir dir;
  for (const Case& c : {Case{"full", {0.05, 0.1, 0.15000000000000002, 0.2, 0.25}, {}, {}},
                        Case{"early", {0.12}, 32, {}}, Case{"onestd", {0.07, 0.12}, {}, {0.1}}}) {
    ReconstructOptions options;
    options.indir = (reference / "run").string();
    options.outdir = dir / c.name;
    options.outstds = c.stds;
    options.outkimg = c.kimg;
    options.filter.stds = c.instds;
    options.max_batch_size = 2;
    reconstruct(options);
    EXPECT_EQ(test::names_in(options.outdir).size(), c.stds.size());
    int64_t elements = 0, different = 0;
    for (const auto& name : test::names_in(options.outdir)) {
      SCOPED_TRACE(c.name + " " + name);
      ASSERT_TRUE(name.starts_with("phema-") && name.ends_with(".pkl"));
      const NpzFile expected(reference /
                             ("reconstructed_" + c.name + "_" + name.substr(6, 13) + ".npz"));
      for (const auto& [key, tensor] : load_snapshot(options.outdir / name).tensors) {
        const Tensor theirs = expected.get(key);
        ASSERT_EQ(theirs.scalar_type(), at::kHalf);
        // Distance in units of the last place: neighbours have successive bit patterns.
        const auto ordered = [](const Tensor& half) {
          const Tensor bits = half.contiguous().view(at::kShort).to(at::kInt);
          return at::where(bits < 0, -32768 - bits, bits);
        };
        const Tensor ulps = (ordered(tensor) - ordered(theirs)).abs();
        EXPECT_LE(ulps.max().item<int64_t>(), 1) << key;
        elements += ulps.numel();
        different += ulps.ne(0).sum().item<int64_t>();
      }
    }
    // Only coefficients differ, in their last bits; rounded to float32 most are the same.
    EXPECT_LT(static_cast<double>(different), 1e-3 * static_cast<double>(elements)) << c.name;
    RecordProperty(c.name, std::to_string(different) + " of " + std::to_string(elements));
  }
}

TEST(ReconstructGolden, FilesOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path reference = test::reference_dir() / "phema";
  const test::TempDir dir;
  ReconstructOptions options;
  options.indir = (reference / "run").string();
  options.outdir = dir.path();
  options.outstds = {0.05, 0.1};
  reconstruct(options);
  EXPECT_EQ(test::names_in(dir.path()), test::names_in(reference / "out"));
  for (const auto& name : test::names_in(dir.path())) {
    Snapshot ours = load_snapshot(dir / name), theirs = load_snapshot(reference / "out" / name);
    test::expect_same_snapshot(ours, theirs);  // lengths that are stored come back bit for bit
  }
}

TEST(Reconstruct, SameBitsAsThePlainLoop) {
  for (const auto format : {SnapshotFormat::pickle, SnapshotFormat::safetensors}) {
    const SavedRun run(3, format);
    ReconstructOptions options = run.options({0.07, 0.15});
    test::RecordingProgress progress;
    reconstruct_phema(options, progress);
    EXPECT_EQ(progress.total, 6);
    EXPECT_EQ(progress.done, 6);
    const std::string extension = format == SnapshotFormat::pickle ? ".pkl" : ".safetensors";
    for (const auto& [std, text] : {std::pair(0.07, "0.070"), std::pair(0.15, "0.150")}) {
      const Snapshot result =
          load_snapshot(run.outdir / (std::string("phema-0000003-") + text + extension));
      EXPECT_EQ(result.network, run.snapshots[0].network);
      for (const auto& [name, sum] : run.sums(std)) {
        const Tensor expected = sum.to(at::kHalf);
        EXPECT_TRUE(at::equal(find_tensor(result.tensors, name), expected)) << name;
      }
    }
  }
}

TEST(Reconstruct, Float32SumsHaveTheBitsOfThePlainLoop) {
  const SavedRun run(4);
  const auto list = select_snapshots(list_folder(run.indir), {});
  const auto opened = open_snapshots(run.indir, list.files, list.files.size());
  SnapshotIndex result = describe_result(opened);
  for (StoredTensor& tensor : result.tensors) tensor.dtype = at::kFloat;
  const EmaProfile target{4096, 0.13};
  const auto coefficients = solve_posthoc(run.profiles(), std::span(&target, 1))[0].coefficients;
  const std::vector<std::vector<double>> one_sum(1, coefficients);
  const StateDict expected = run.sums(0.13);
  // Blocks of every size, from smaller than most tensors to the whole network.
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{100'000}, uint64_t{1} << 30}) {
    StateDictReceiver receiver(result);
    double last = 0;
    sum_snapshots(opened, plan_sums(result, one_sum), receiver,
                  [&](double fraction) { last = fraction; }, {bytes, bytes});
    EXPECT_EQ(last, 1);
    const StateDict sums = receiver.take();
    ASSERT_EQ(sums.size(), expected.size());
    for (size_t i = 0; i < sums.size(); ++i)
      EXPECT_TRUE(at::equal(sums[i].second, expected[i].second)) << sums[i].first;
  }
}

TEST(Reconstruct, BatchesAndContainersDoNotChangeTheResult) {
  const SavedRun run(2);
  ReconstructOptions options = run.options({0.03, 0.06, 0.09, 0.2});
  reconstruct(options);
  options.outdir = run.dir / "single";
  options.max_batch_size = 1;
  reconstruct(options);
  options.outdir = run.dir / "safetensors";
  options.format = SnapshotFormat::safetensors;
  reconstruct(options);
  const auto names = test::names_in(run.outdir);
  EXPECT_EQ(names,
            (std::vector<std::string>{"phema-0000002-0.030.pkl", "phema-0000002-0.060.pkl",
                                      "phema-0000002-0.090.pkl", "phema-0000002-0.200.pkl"}));
  for (const auto& name : names) {
    EXPECT_EQ(test::read_file(run.outdir / name), test::read_file(run.dir / "single" / name));
    test::expect_same_snapshot(
        load_snapshot(run.outdir / name),
        load_snapshot((run.dir / "safetensors" / name).replace_extension(".safetensors")));
  }
}

TEST(Reconstruct, SkipContinuesAnInterruptedRun) {
  const SavedRun run(2);
  ReconstructOptions options = run.options({0.07});
  reconstruct(options);
  const fs::path first = run.outdir / "phema-0000002-0.070.pkl";
  std::ofstream(first) << "kept";
  options.outstds = {0.07, 0.08};
  options.skip = true;
  reconstruct(options);
  EXPECT_EQ(test::read_file(first), "kept");
  EXPECT_NO_THROW(load_snapshot(run.outdir / "phema-0000002-0.080.pkl"));
  test::RecordingProgress progress;
  reconstruct_phema(options, progress);
  EXPECT_NE(progress.text().find("Nothing to do"), std::string::npos);
}

TEST(Reconstruct, MessagesOfTheOriginal) {
  const SavedRun run(1);
  ReconstructOptions options = run.options({0.07, 0.08, 0.09});
  options.max_batch_size = 2;
  test::RecordingProgress progress;
  reconstruct_phema(options, progress);
  const auto in = [&](const char* name) { return "    " + (run.indir / name).string() + '\n'; };
  const auto out = [&](const char* name) { return (run.outdir / name).string() + '\n'; };
  EXPECT_EQ(progress.text(),
            "Loading 2 input pickles...\n" + in("network-snapshot-0000001-0.050.pkl") +
                in("network-snapshot-0000001-0.100.pkl") +
                "Reconstructing 3 output pickles in 2 batches...\n    batch 0: " +
                out("phema-0000001-0.070.pkl") + "    batch 0: " + out("phema-0000001-0.080.pkl") +
                "    batch 1: " + out("phema-0000001-0.090.pkl"));
}

TEST(Reconstruct, WrongInputsAreNamedAndNothingIsWritten) {
  const SavedRun run(2);
  const ReconstructOptions good = run.options({0.07});
  ReconstructOptions options = good;
  options.indir = (run.dir / "missing").string();
  EXPECT_EQ(error_of(options), "Input directory does not exist: '" + options.indir + "'");
  options = good;
  options.outkimg = 5;
  EXPECT_EQ(error_of(options),
            "Reconstruction time must match one of the input pickles: there is none of 5 kimg, "
            "they are from 1 to 2");
  options = good;
  options.filter.prefix = "other";
  EXPECT_EQ(error_of(options), "No valid input pickles found: '" + run.indir.string() +
                                   "' has no files named like network-snapshot-0001048-0.100.pkl "
                                   "that --inprefix and --instd let through");
  options = good;
  options.outstds = {0.0701, 0.0702};
  EXPECT_NE(error_of(options).find("phema-0000002-0.070.pkl"), std::string::npos);

  const auto expect_named = [&](const std::string& name) {
    EXPECT_NE(error_of(good).find(name), std::string::npos) << error_of(good);
    EXPECT_FALSE(fs::exists(run.outdir));
  };
  const fs::path victim = run.indir / "network-snapshot-0000002-0.050.pkl";
  const std::string contents = test::read_file(victim);
  std::ofstream(victim, std::ios::binary) << contents.substr(0, contents.size() / 2);
  expect_named(victim.filename().string());
  std::ofstream(victim, std::ios::binary) << contents.substr(0, contents.size() - 1);
  expect_named(victim.filename().string());
  save_snapshot(victim, test::small_snapshot(/*label_dim=*/0), SnapshotFormat::pickle);
  expect_named(victim.filename().string());
  std::ofstream(victim, std::ios::binary) << contents;
  const fs::path twin = run.indir / "copy-0000002-0.050.pkl";
  fs::copy(victim, twin);
  expect_named(twin.filename().string());
  fs::remove(twin);
  reconstruct(good);
}

TEST(Reconstruct, WeightsThatAreNotFiniteAreNoResult) {
  const SavedRun run(2);
  const fs::path victim = run.indir / "network-snapshot-0000001-0.100.pkl";
  Snapshot damaged = load_snapshot(victim);
  for (auto& [name, tensor] : damaged.tensors)
    if (name == "unet.out_conv.weight") {
      tensor = tensor.clone();
      tensor.view(-1)[1] = std::nan("");
    }
  save_snapshot(victim, damaged, SnapshotFormat::pickle);
  EXPECT_NE(
      error_of(run.options({0.07, 0.08})).find("values in unet.out_conv.weight are not finite"),
      std::string::npos);
  EXPECT_TRUE(test::names_in(run.outdir).empty());
}

TEST(Reconstruct, LeavesNothingHalfWritten) {
  const SavedRun run(2);
  fs::create_directories(run.outdir / "phema-0000002-0.080.pkl");  // a folder in the way
  EXPECT_NE(error_of(run.options({0.07, 0.08})).find("phema-0000002-0.080.pkl"), std::string::npos);
  EXPECT_EQ(test::names_in(run.outdir), std::vector<std::string>{"phema-0000002-0.080.pkl"});
}

TEST(Reconstruct, TakesAnyNetwork) {
  const test::TempDir dir;
  fs::create_directory(dir / "in");
  std::vector<StateDict> states;
  for (int time = 1; time <= 3; ++time)
    for (const char* std : {"0.050", "0.100"}) {
      states.push_back({{"weight", at::randn({5, 7})},
                        {"bias", at::randn({7}).to(at::kBFloat16)},
                        {"empty", at::empty({0, 3})},
                        {"mean", at::randn({7})},
                        {"count", at::full({}, time, at::kLong)}});
      save_safetensors(
          dir / "in" / ("classifier-000000" + std::to_string(time) + "-" + std + ".safetensors"),
          states.back(), {{"buffers", "[\"mean\"]"}, {"note", "first"}});
    }
  ReconstructOptions options;
  options.indir = (dir / "in").string();
  options.outdir = dir / "out";
  options.outstds = {0.15};
  reconstruct(options);
  const SafetensorsFile result = load_safetensors(dir / "out" / "phema-0000003-0.150.safetensors");
  EXPECT_EQ(result.metadata.at("note"), "first");
  const PostHocSolution solution = Snapshots(dir / "in").solve(0.15);
  for (const char* name : {"weight", "bias"}) {
    Tensor sum = at::zeros_like(find_tensor(states[0], name), at::kFloat);
    for (size_t i = 0; i < states.size(); ++i)
      sum.add_(find_tensor(states[i], name).to(at::kFloat).mul(solution.coefficients[i]));
    const Tensor expected = sum.to(find_tensor(states[0], name).scalar_type());
    EXPECT_TRUE(at::equal(find_tensor(result.tensors, name), expected)) << name;
  }
  for (const char* name : {"empty", "mean", "count"})
    EXPECT_TRUE(at::equal(find_tensor(result.tensors, name), find_tensor(states.back(), name)));
  options.format = SnapshotFormat::pickle;
  EXPECT_NE(error_of(options).find(".safetensors"), std::string::npos);
}

TEST(Reconstruct, ReportShowsCoefficientsAndProfiles) {
  const SavedRun run(3);
  ReconstructOptions options = run.options({0.07, 0.15});
  options.report = options.dry_run = true;
  test::RecordingProgress progress;
  reconstruct_phema(options, progress);
  EXPECT_EQ(test::names_in(run.outdir),
            (std::vector<std::string>{"phema-0000003-report.csv", "phema-0000003-report.svg"}));
  EXPECT_NE(progress.text().find("0.070.pkl the expected error is"), std::string::npos);
  std::istringstream csv(test::read_file(run.outdir / "phema-0000003-report.csv"));
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "std,nimg,expected_error,input,input_nimg,input_std,coefficient");
  int lines = 0;
  double sum = 0;
  while (std::getline(csv, line)) {
    ++lines;
    sum += std::stod(line.substr(line.rfind(',') + 1));
  }
  EXPECT_EQ(lines, 2 * 6);
  EXPECT_NEAR(sum, 2, 1e-12);
}

TEST(Reconstruct, EveryPickleProtocolGivesTheSameFiles) {
  const SavedRun run(2);
  ReconstructOptions options = run.options({0.07, 0.15});
  reconstruct(options);
  const std::vector<std::string> names = test::names_in(run.outdir);
  for (int protocol = 0; protocol <= 5; ++protocol) {
    SCOPED_TRACE(protocol);
    const test::TempDir dir;
    fs::create_directory(dir / "in");
    for (const std::string& name : test::names_in(run.indir))
      std::ofstream(dir / "in" / name, std::ios::binary)
          << test::in_protocol(test::read_file(run.indir / name), protocol);
    options.indir = (dir / "in").string();
    options.outdir = dir / "out";
    reconstruct(options);
    for (const std::string& name : names)
      EXPECT_EQ(test::read_file(dir / "out" / name), test::read_file(run.outdir / name)) << name;
    test::expect_same_snapshot(Snapshots(dir / "in").reconstruct(0.07),
                               load_snapshot(run.outdir / "phema-0000002-0.070.pkl"));
  }
}

TEST(Reconstruct, NumbersOfEveryTypeOfTheFormat) {
  const std::vector<at::ScalarType> averaged = {
      at::kFloat8_e4m3fn,   at::kFloat8_e5m2, at::kFloat8_e4m3fnuz,
      at::kFloat8_e5m2fnuz, at::kHalf,        at::kDouble};
  const std::vector<at::ScalarType> kept = {at::kUInt16, at::kUInt32, at::kUInt64,      at::kLong,
                                            at::kByte,   at::kBool,   at::kComplexFloat};
  const test::TempDir dir;
  fs::create_directory(dir / "in");
  StateDict last;
  for (int time = 1; time <= 2; ++time)
    for (const char* std : {"0.050", "0.100"}) {
      last = {{"w", at::full({4}, time)}};
      for (const auto type : averaged)
        last.emplace_back(c10::toString(type), at::ones({3}).to(type));
      for (const auto type : kept)
        last.emplace_back(c10::toString(type), at::full({3}, time).to(type));
      save_safetensors(
          dir / "in" / ("net-000000" + std::to_string(time) + "-" + std + ".safetensors"), last);
    }
  ReconstructOptions options;
  options.indir = (dir / "in").string();
  options.outdir = dir / "out";
  options.outstds = {0.07};
  reconstruct(options);
  const StateDict result =
      load_safetensors(dir / "out" / "phema-0000002-0.070.safetensors").tensors;
  double sum = 0;
  const auto solution = Snapshots(dir / "in").solve(0.07);
  for (const double coefficient : solution.coefficients) sum += coefficient;
  for (const auto type : averaged) {
    const Tensor found = find_tensor(result, c10::toString(type));
    EXPECT_EQ(found.scalar_type(), type);
    EXPECT_NEAR(found.to(at::kFloat)[0].item<double>(), sum, 0.13) << type;
  }
  for (const auto type : kept) {
    const Tensor found = find_tensor(result, c10::toString(type));
    ASSERT_EQ(found.scalar_type(), type);
    EXPECT_EQ(std::memcmp(found.const_data_ptr(),
                          find_tensor(last, c10::toString(type)).const_data_ptr(), found.nbytes()),
              0)
        << type;
  }
  for (const auto& entry : fs::directory_iterator(dir / "in"))
    save_safetensors(entry.path(), {{"scale", at::ones({3}).to(at::kFloat8_e8m0fnu)}});
  options.outstds = {0.08};
  EXPECT_NE(error_of(options).find("F8_E8M0"), std::string::npos) << error_of(options);
}

// ---- Snapshots

TEST(Snapshots, GiveTheBitsOfTheFiles) {
  const SavedRun run(3);
  reconstruct(run.options({0.07, 0.15}));
  Snapshots snapshots(run.indir);
  EXPECT_EQ(snapshots.files().size(), 6u);
  EXPECT_EQ(snapshots.latest(), 3072);
  for (const double std : {0.15, 0.07}) {
    const SnapshotName name{"phema", 3, std};
    test::expect_same_snapshot(snapshots.reconstruct(std),
                               load_snapshot(run.outdir / name.file_name()));
  }
  ReconstructOptions early = run.options({0.09});
  early.outkimg = 2;
  reconstruct(early);
  test::expect_same_snapshot(snapshots.reconstruct(0.09, 2048),
                             load_snapshot(run.outdir / "phema-0000002-0.090.pkl"));
  EXPECT_THROW(snapshots.reconstruct(0.09, 1000), Error);
}

TEST(Snapshots, ChooseThoseOfTraining) {
  const SavedRun run(2);
  ReconstructOptions options = run.options({0.07});
  options.outdir = run.indir;  // results beside the inputs
  reconstruct(options);
  EXPECT_EQ(Snapshots(run.indir).files().size(), 4u);
  EXPECT_EQ(Snapshots(run.indir, {.prefix = "phema", .stds = {}}).files().size(), 1u);
  const test::TempDir empty;
  EXPECT_THROW(Snapshots{empty.path()}, Error);
  fs::copy(run.indir / "phema-0000002-0.070.pkl", empty / "a-0000002-0.070.pkl");
  fs::copy(run.indir / "phema-0000002-0.070.pkl", empty / "b-0000002-0.080.pkl");
  EXPECT_THROW(Snapshots{empty.path()}, Error);
}

}  // namespace edm2
