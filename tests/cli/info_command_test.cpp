// edm2 info as a user runs it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/nn/snapshot.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

using test::expect_error;
using test::run_edm2;
using test::RunResult;

}  // namespace

TEST(InfoCli, TextAndJson) {
  const test::TempDir dir;
  const std::string file = dir / "network-snapshot-0001048-0.100.pkl";
  save_snapshot(file, test::small_snapshot(5), SnapshotFormat::pickle);
  const RunResult text = run_edm2({"info", file, "--layers"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  for (const char* part : {"network snapshot", "1,048,576", "0.1", "model_channels", "float16",
                           "StandardRGBEncoder", "unet.out_conv.weight", "[3, 16, 3, 3]"})
    EXPECT_TRUE(test::contains(text.out, part)) << part << "\n" << text.out;

  const RunResult json = run_edm2({"info", "file://" + file, "--json", "--no-values"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const auto info = nlohmann::json::parse(json.out);
  EXPECT_EQ(info.at("network").at("label_dim"), 5);
  EXPECT_FALSE(info.contains("non_finite_values"));

  EXPECT_EQ(run_edm2({"info", "bundled:demo-emoji32.pkl"}).exit_code, 0);
}

TEST(InfoCli, WrongUsageAndData) {
  const test::TempDir dir;
  std::ofstream(dir / "text") << "hello";
  expect_error(run_edm2({"info"}), 2, "'FILE'");
  expect_error(run_edm2({"info", dir / "absent"}), 1, "absent");
  expect_error(run_edm2({"info", dir / "text"}), 1, "text");
  // A pickle that would run a command.
  std::ofstream(dir / "evil.pkl", std::ios::binary)
      << std::string("\x80\x02") + "cos\nsystem\nU\x0b" + "touch pwned" + "\x85R.";
  expect_error(run_edm2({"info", dir / "evil.pkl"}), 1, "os.system");
}

}  // namespace edm2
