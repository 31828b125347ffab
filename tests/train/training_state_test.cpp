// training-state-*.pt: the original's layout, and runs that go on from it.
#include "train/training_state.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/progress.h"
#include "edm2/ema/power_function.h"
#include "edm2/io/torch_file.h"
#include "edm2/io/zip.h"
#include "edm2/nn/weights_file.h"
#include "edm2/train/trainer.h"
#include "support/golden.h"
#include "support/python.h"
#include "support/reference_run.h"
#include "support/run_program.h"
#include "support/small_models.h"
#include "support/small_training.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* state_name = "training-state-0000001.pt";

/// Keys and their order, types, shapes. What our file has another Python type for, and why, is in
/// docs/checkpoints.md.
void expect_same_layout(const PickleValue& ours, const PickleValue& theirs,
                        const std::string& path) {
  ASSERT_EQ(ours.kind(), theirs.kind()) << path << ": " << ours.kind_name();
  if (ours.is_tensor()) {
    EXPECT_EQ(ours.as_tensor().scalar_type(), theirs.as_tensor().scalar_type()) << path;
    EXPECT_EQ(ours.as_tensor().sizes(), theirs.as_tensor().sizes()) << path;
    EXPECT_EQ(ours.tensor_type(), theirs.tensor_type()) << path;
    return;
  }
  using Kind = PickleValue::Kind;
  if (ours.is_dict()) {
    if (theirs.dict_type() != PickleValue::DictType::easy) {
      EXPECT_EQ(ours.dict_type(), theirs.dict_type()) << path;
    }
    ASSERT_EQ(ours.size(), theirs.size()) << path;
    for (size_t i = 0; i < ours.size(); ++i) {
      const auto& [key, value] = ours.items()[i];
      const auto& [their_key, their_value] = theirs.items()[i];
      ASSERT_EQ(key.kind(), their_key.kind()) << path;
      const bool named = key.is_string();
      const std::string name = named ? key.as_string() : std::to_string(key.as_int());
      EXPECT_EQ(name, named ? their_key.as_string() : std::to_string(their_key.as_int())) << path;
      expect_same_layout(value, their_value, path + "." + name);
    }
  } else if (ours.kind() == Kind::list || ours.kind() == Kind::tuple) {
    ASSERT_EQ(ours.size(), theirs.size()) << path;
    for (size_t i = 0; i < ours.size(); ++i)
      expect_same_layout(ours.elements()[i], theirs.elements()[i], path + "." + std::to_string(i));
  } else if (ours.is_number() && path.find("elapsed") == std::string::npos &&
             path.find("cur_nimg") == std::string::npos && !path.ends_with(".lr")) {
    EXPECT_EQ(ours.as_double(), theirs.as_double()) << path;
  }
}

std::vector<std::string> entries_of(const fs::path& file) {
  const ZipReader zip(file);
  return zip.names();
}

/// A folder with the original's state at 1024 images, and the run's options.
TrainOptions begin_with_the_original(const fs::path& outdir) {
  fs::create_directories(outdir);
  fs::copy_file(test::reference_run("main") / state_name, outdir / state_name);
  TrainOptions options = test::reference_options("main", outdir);
  options.snapshot_nimg = std::nullopt;
  return options;
}

/// Weights, moments and averages, without the times.
void expect_same_tensors(const PickleValue& a, const PickleValue& b, const std::string& path) {
  ASSERT_EQ(a.kind(), b.kind()) << path;
  if (a.is_tensor()) {
    EXPECT_TRUE(a.as_tensor().equal(b.as_tensor())) << path;
  } else if (a.is_dict()) {
    ASSERT_EQ(a.size(), b.size()) << path;
    for (size_t i = 0; i < a.size(); ++i)
      expect_same_tensors(a.items()[i].second, b.items()[i].second, path + ".");
  } else if (a.kind() == PickleValue::Kind::list) {
    ASSERT_EQ(a.size(), b.size()) << path;
    for (size_t i = 0; i < a.size(); ++i)
      expect_same_tensors(a.elements()[i], b.elements()[i], path + ".");
  }
}

}  // namespace

TEST(TrainingState, GivesItsNetworksToOtherCommands) {
  const test::TempDir dir;
  test::write_small_dataset(dir / "data");
  TrainOptions options = test::small_training(dir / "data", dir / "run");
  options.network = test::tiny_options(3);
  options.batch_size = 64;
  options.total_nimg = 1024;
  options.snapshot_nimg = options.checkpoint_nimg = 1024;
  test::train(options);
  WeightsOptions narrow;
  narrow.ema_std = 0.05;
  Snapshot ours = load_weights(dir / "run" / state_name, narrow).snapshot;
  for (auto& [name, tensor] : ours.tensors) tensor = tensor.to(at::kHalf);
  EXPECT_EQ(
      test::describe_tensors(ours),
      test::describe_tensors(load_snapshot(dir / "run" / "network-snapshot-0000001-0.050.pkl")));
}

TEST(TrainingStateGolden, HasTheOriginalsLayout) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir dir;
  auto options = begin_with_the_original(dir / "run");
  options.total_nimg = 1056;  // one step
  test::train(options);
  const fs::path ours = dir / "run" / state_name, theirs = test::reference_run("main") / state_name;
  const PickleValue state = load_torch_file(ours);
  EXPECT_EQ(state.at("state").at("cur_nimg").as_int(), 1056);
  expect_same_layout(state, load_torch_file(theirs), "root");

  auto names = entries_of(ours);
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.back(), "training-state-0000001/edm2.json") << "ours alone, at the end";
  names.pop_back();
  EXPECT_EQ(names, entries_of(theirs));
  const std::string bytes = test::read_file(ours);
  EXPECT_THAT(*read_torch_extra(std::as_bytes(std::span(bytes)), ".data/serialization_id"),
              testing::MatchesRegex("[0-9]{40}"));
}

TEST(TrainingStateInterop, GoesFromTheOriginalToUsAndBack) {
  EDM2_REQUIRE_REFERENCE();
  const std::string python = test::find_python("torch, numpy");
  if (python.empty()) GTEST_SKIP() << "no Python with torch (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  // original -> ours, without a stop
  auto options = begin_with_the_original(dir / "straight");
  options.total_nimg = 1152;
  test::train(options);
  // original -> ours -> original -> ours
  options = begin_with_the_original(dir / "moved");
  options.total_nimg = 1088;
  test::train(options);
  const fs::path state = dir / "moved" / state_name, back = dir / "back.pt";
  EXPECT_THAT(test::run_interop_script(python, "training_state.py", {"check", state}),
              HasSubstr("cur_nimg 1088\n"));
  test::run_interop_script(python, "training_state.py", {"resave", state, back});
  fs::remove_all(dir / "moved");
  fs::create_directories(dir / "moved");
  fs::copy_file(back, state);
  options.total_nimg = 1152;
  test::train(options);
  expect_same_tensors(load_torch_file(state), load_torch_file(dir / "straight" / state_name), "");
}

TEST(TrainingState, HoldsWhatTheOriginalsHasNoPlaceFor) {
  const test::TempDir dir;
  Precond network(test::tiny_options(3, 8, 8));
  Adam optimizer(network);
  PowerFunctionEma ema(network.state_dict(), {0.05});
  LossOptions loss;
  RunProgress progress{1024, 2.5, {{"some part", {1, 0.1, "x"}}}};
  save_training_state(dir / "x.pt", progress, network, loss, 0.01, optimizer, ema);
  const RunProgress again = load_training_state(dir / "x.pt", network, loss, optimizer, ema);
  EXPECT_EQ(again.cur_nimg, 1024);
  EXPECT_EQ(again.total_elapsed_time, 2.5);
  EXPECT_EQ(again.more, progress.more);
  progress.more = nullptr;
  save_training_state(dir / "x.pt", progress, network, loss, 0.01, optimizer, ema);
  EXPECT_TRUE(load_training_state(dir / "x.pt", network, loss, optimizer, ema).more.is_null());
  Precond wider(test::tiny_options(3, 8, 16));
  Adam other_optimizer(wider);
  PowerFunctionEma other_ema(wider.state_dict(), {0.05});
  EXPECT_THROW(load_training_state(dir / "x.pt", wider, loss, other_optimizer, other_ema), Error);
}

}  // namespace edm2
