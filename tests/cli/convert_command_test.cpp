// edm2 convert as a user runs it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/snapshot_tools.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::run_edm2;
using test::RunResult;

}  // namespace

TEST(ConvertCli, ThereAndBackBitForBit) {
  EDM2_REQUIRE_REFERENCE();
  for (const std::string file : {"rgb8_multihead.pkl", "rgb16_cond.pkl", "lat8_cond_drop.pkl",
                                 "released_layout_torch21.pkl"}) {
    SCOPED_TRACE(file);
    const fs::path input = test::reference_dir() / "denoiser" / file;
    const test::TempDir dir;
    const Snapshot original = load_snapshot(input);
    fs::path from = input;
    for (const char* name : {"a.safetensors", "b.pt", "c.safetensors", "d.pkl", "e.pt", "f.pkl"}) {
      const RunResult run = run_edm2({"convert", from, dir / name});
      ASSERT_EQ(run.exit_code, 0) << run.err;
      test::expect_same_snapshot(load_snapshot(dir / name), original);
      from = dir / name;
    }
  }
}

TEST(ConvertCli, ChecksWhatItWrote) {
  const test::TempDir dir;
  save_snapshot(dir / "a.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  const RunResult run =
      run_edm2({"convert", "--check", "--precision=bf16", dir / "a.pkl", dir / "b.pt"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(test::contains(run.out, "Precision bf16: ")) << run.out;
  EXPECT_TRUE(test::contains(run.out, "Checked: read again, ")) << run.out;
  EXPECT_TRUE(test::contains(run.out, "Checked: converted back to pickle")) << run.out;
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 2);
}

TEST(ConvertCli, FoldsForUseElsewhere) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(5);
  save_snapshot(dir / "a.pkl", snapshot, SnapshotFormat::pickle);
  ASSERT_EQ(run_edm2({"convert", "--fold", dir / "a.pkl", dir / "b.safetensors"}).exit_code, 0);
  test::expect_same_snapshot(load_snapshot(dir / "b.safetensors"), fold(snapshot));
  expect_error(run_edm2({"convert", "--fold", dir / "a.pkl", dir / "c.pkl"}), 1, "folded");
  EXPECT_FALSE(fs::exists(dir / "c.pkl"));
  // The same pictures from both.
  for (const std::string name : {"a.pkl", "b.safetensors"})
    ASSERT_EQ(run_edm2({"generate", "--net", dir / name, "--outdir", dir / (name + ".out"),
                        "--seeds=3", "--steps=2", "--device=cpu", "--no-metadata"})
                  .exit_code,
              0);
  const std::string picture = test::read_file(dir / "a.pkl.out" / "000003.png");
  EXPECT_FALSE(picture.empty());
  EXPECT_EQ(picture, test::read_file(dir / "b.safetensors.out" / "000003.png"));
}

TEST(ConvertCli, TensorsThatDoNotMatchAreListed) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(5);
  save_snapshot(dir / "like.pkl", snapshot, SnapshotFormat::pickle);
  save_snapshot(dir / "whole.safetensors", snapshot, SnapshotFormat::safetensors);
  StateDict tensors = snapshot.tensors;
  const std::string lost = "unet.dec.8x8_in1.conv_res0.weight";
  EXPECT_EQ(std::erase_if(tensors, [&](const auto& entry) { return entry.first == lost; }), 1u);
  tensors.emplace_back("foreign.bias", at::ones({3}));
  save_safetensors(dir / "x.safetensors", tensors,
                   load_safetensors(dir / "whole.safetensors").metadata);
  save_torch_file(dir / "x.pt", to_pickle(tensors));
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"convert", dir / "x.safetensors", dir / "out.pkl"},
           {"convert", "--quiet", "--like", dir / "like.pkl", dir / "x.pt", dir / "out.pkl"}}) {
    const RunResult run = run_edm2(words);
    expect_error(run, 1, lost);
    expect_error(run, 1, "foreign.bias");
    EXPECT_TRUE(test::contains(run.err, "expected")) << run.err;
    EXPECT_TRUE(test::contains(run.err, "[32, 32, 3, 3]  nothing")) << run.err;
    EXPECT_FALSE(fs::exists(dir / "out.pkl"));
  }
}

TEST(ConvertCli, StateDictsTakeTheirConfigurationFromElsewhere) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(5);
  save_snapshot(dir / "like.pkl", snapshot, SnapshotFormat::pickle);
  PickleValue wrapped = PickleValue::dict();
  for (const auto& [name, tensor] : snapshot.tensors) wrapped.set("module." + name, tensor);
  save_torch_file(dir / "bare.pt", PickleValue::dict({{"model", wrapped}}));
  expect_error(run_edm2({"convert", dir / "bare.pt", dir / "x.pkl"}), 1, "--like");
  expect_error(run_edm2({"generate", "--net", dir / "bare.pt", "--outdir", dir / "out"}), 1,
               "edm2 convert");
  const RunResult like =
      run_edm2({"convert", dir / "bare.pt", dir / "x.pkl", "--like", dir / "like.pkl"});
  ASSERT_EQ(like.exit_code, 0) << like.err;
  EXPECT_TRUE(test::contains(like.out, "Note: took 'model.module.' off the names")) << like.out;
  test::expect_same_snapshot(load_snapshot(dir / "x.pkl"), snapshot);
  std::ofstream(dir / "c.json") << R"({"network": {"channels_per_head": 16}})";
  const RunResult config = run_edm2({"convert", dir / "bare.pt", dir / "y.pkl", "--config",
                                     dir / "c.json", "--prefix=model.module"});
  ASSERT_EQ(config.exit_code, 0) << config.err;
  EXPECT_TRUE(test::contains(config.out, "the defaults are taken")) << config.out;
  test::expect_same_snapshot(load_snapshot(dir / "y.pkl"), snapshot);
}

TEST(ConvertCliGolden, ATrainingStateBecomesTheOriginalsSnapshot) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir dir;
  const fs::path folder = test::reference_dir() / "training" / "main";
  const RunResult run = run_edm2({"convert", folder / "training-state-0000001.pt", dir / "x.pkl",
                                  "--ema=0.05", "--precision=fp16", "--check"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  test::expect_same_snapshot(load_snapshot(dir / "x.pkl"),
                             load_snapshot(folder / "network-snapshot-0000001-0.050.pkl"));
}

TEST(ConvertCli, AddressesAreInputsToo) {
  const test::TempDir dir;
  save_snapshot(dir / "a.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  const RunResult run =
      run_edm2({"convert", "file://" + (dir / "a.pkl").string(), dir / "b.safetensors"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  expect_error(run_edm2({"convert", "--offline", "--cache-dir", dir.path(),
                         "https://example.com/net.pkl", dir / "c.pkl"}),
               1, "example.com");
}

TEST(ConvertCli, WrongUsage) {
  const test::TempDir dir;
  save_snapshot(dir / "a.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
  const std::string in = dir / "a.pkl", out = dir / "b.pt";
  expect_error(run_edm2({"convert", in}), 2, "'OUT'");
  expect_error(run_edm2({"convert", in, dir / "b.bin"}), 2, ".safetensors");
  expect_error(run_edm2({"convert", in, out, "--precision=fp8"}), 2, "'fp8' is not one of");
  expect_error(run_edm2({"convert", in, out, "--config=x", "--like=y"}), 2, "--like");
  expect_error(run_edm2({"convert", in, out, "--ema=-1"}), 2, "'--ema'");
  expect_error(run_edm2({"convert", in, out, "--ema=0.05"}), 1, "training states");
  expect_error(run_edm2({"convert", in, out, "--config", dir / "absent.json"}), 1, "absent.json");
  expect_error(run_edm2({"convert", dir / "absent.pkl", out}), 1, "absent.pkl");
  EXPECT_FALSE(fs::exists(out));
}

TEST(ConvertCli, ErrorsLeaveNothingBehind) {
  const test::TempDir dir;
  std::ofstream(dir / "junk.pkl") << "this is no snapshot";
  expect_error(run_edm2({"convert", dir / "junk.pkl", dir / "out.safetensors"}), 1, "junk.pkl");
  EXPECT_FALSE(fs::exists(dir / "out.safetensors"));
}

}  // namespace edm2
