// edm2 toy as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/toy/network.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

using test::expect_error;
using test::run_edm2;
using test::RunResult;
using testing::HasSubstr;

}  // namespace

TEST(ToyCli, TrainsAndDrawsTheSamples) {
  const test::TempDir dir;
  const RunResult run = run_edm2({"toy", "train", "--outdir=" + (dir / "run").string(), "--cls=AB",
                                  "--layers=1", "--dim=8", "--batch=64", "--iterations=256"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("Will save snapshots to " + (dir / "run").string() + "\n"));
  EXPECT_THAT(run.out, HasSubstr("Training...\n"));
  EXPECT_THAT(run.out, HasSubstr("Done.\n"));
  const toy::Network network = toy::load_network(dir / "run" / "iter0256.pkl");
  EXPECT_EQ(network.options(), (toy::NetworkOptions{.num_layers = 1, .hidden_dim = 8}));
  const Image samples = test::read_image(dir / "run" / "samples.png");
  EXPECT_EQ(samples.width, 900);
  EXPECT_EQ(samples.height, 900);
}

TEST(ToyCli, PlotsTheBundledNetworks) {
  const test::TempDir dir;
  const auto path = dir / "figures" / "toy.png";
  const RunResult run = run_edm2({"toy", "plot", "--save=" + path.string()});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out,
            "Loading models...\nDrawing plots...\nSaving to " + path.string() + "\nDone.\n");
  const Image figure = test::read_image(path);
  EXPECT_EQ(figure.width, 3840);
  EXPECT_EQ(figure.height, 2000);
}

TEST(ToyCli, Explores) {
  const test::TempDir dir;
  const RunResult run =
      run_edm2({"toy", "explore", "--samples=512", "--guidance=1,3", "--steps=8",
                "--csv=" + (dir / "t.csv").string(), "--plot=" + (dir / "t.svg").string(),
                "--animate=" + (dir / "t.webp").string(), "--size=96"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("toy-clsA-layers04-dim32-iter0512"));
  const std::string table = read_text_file(dir / "t.csv");
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 6);
  EXPECT_THAT(read_text_file(dir / "t.svg"), HasSubstr("<svg"));
  EXPECT_TRUE(read_text_file(dir / "t.webp").starts_with("RIFF"));
}

TEST(ToyCli, WrongUsage) {
  const test::TempDir dir;
  expect_error(run_edm2({"toy", "train", "--cls=C", "--iterations=1"}), 2,
               "'C' is not one of A, B, AB");
  expect_error(run_edm2({"toy", "plot", "--save=figure.gif"}), 2,
               "must end with .png, .svg or .pdf");
  expect_error(run_edm2({"toy", "explore", "--animate=x.gif"}), 2, "must end with .webp");
  expect_error(run_edm2({"toy", "plot", "--net=" + (dir / "none.pkl").string()}), 1, "none.pkl");
  expect_error(run_edm2({"toy", "explore", "--guidance-interval=3,1"}), 2, "interval");
}

}  // namespace edm2
