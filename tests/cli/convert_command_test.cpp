// edm2 convert as a user runs it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "edm2/nn/snapshot.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::run_edm2;

}  // namespace

TEST(ConvertCli, BothWaysBitForBit) {
  std::vector<fs::path> inputs = {test::data_dir() / "denoiser" / "rgb8_multihead.pkl"};
  if (fs::exists(test::reference_dir()))
    for (const char* name : {"rgb16_cond", "lat8_cond_drop", "released_layout_torch21"})
      inputs.push_back(test::reference_dir() / "denoiser" / (std::string(name) + ".pkl"));
  for (const auto& input : inputs) {
    SCOPED_TRACE(input);
    const test::TempDir dir;
    const auto there = run_edm2({"convert", input, dir / "a.safetensors"});
    ASSERT_EQ(there.exit_code, 0) << there.err;
    const auto back = run_edm2({"convert", dir / "a.safetensors", dir / "b.pkl"});
    ASSERT_EQ(back.exit_code, 0) << back.err;
    const Snapshot original = load_snapshot(input);
    test::expect_same_snapshot(load_snapshot(dir / "a.safetensors"), original);
    test::expect_same_snapshot(load_snapshot(dir / "b.pkl"), original);
  }
}

TEST(ConvertCli, ErrorsLeaveNothingBehind) {
  const test::TempDir dir;
  std::ofstream(dir / "junk.pkl") << "this is no snapshot";
  const auto run = run_edm2({"convert", dir / "junk.pkl", dir / "out.safetensors"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.err.find("junk.pkl"), std::string::npos) << run.err;
  EXPECT_FALSE(fs::exists(dir / "out.safetensors"));
  EXPECT_EQ(run_edm2({"convert", dir / "junk.pkl"}).exit_code, 2);
}

}  // namespace edm2
