// What may be written together.
#include <gtest/gtest.h>

#include <fstream>

#include "edm2/core/error.h"
#include "generate/output.h"
#include "support/paths.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

/// The message of the UsageError, or "".
std::string refusal(const std::function<void(GenerateOptions&)>& change) {
  GenerateOptions options;
  options.net = "net.pkl";
  options.seeds = {0, 16, 17};
  options.outdir = "out";
  change(options);
  try {
    validate(options);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

void expect_refused(const std::function<void(GenerateOptions&)>& change, const std::string& part) {
  EXPECT_NE(refusal(change).find(part), std::string::npos) << refusal(change);
}

}  // namespace

TEST(OutputOptions, EveryKindAlone) {
  EXPECT_EQ(refusal([](auto&) {}), "");
  EXPECT_EQ(refusal([](auto& o) { o.outdir.reset(), o.grid = "g.png"; }), "");
  EXPECT_EQ(refusal([](auto& o) { o.outdir.reset(), o.npz = "a.npz"; }), "");
  EXPECT_EQ(refusal([](auto& o) { o.outdir.reset(), o.latents = "a.safetensors"; }), "");
  EXPECT_EQ(refusal([](auto& o) { o.outdir.reset(), o.trajectory_grid = "a.WEBP"; }), "");
  expect_refused([](auto& o) { o.outdir.reset(); }, "nothing would be written");
  expect_refused([](auto& o) { o.outdir = ""; }, "--outdir needs");
  expect_refused([](auto& o) { o.npz = ""; }, "--npz needs");
}

TEST(OutputOptions, NoFileTwice) {
  expect_refused([](auto& o) { o.npz = "a.npz", o.latents = "out/../a.npz"; },
                 "--npz and --latents name the same file");
  expect_refused([](auto& o) { o.grid = "a.png", o.trajectory_grid = "./a.png"; },
                 "--grid and --trajectory-grid name the same file");
  expect_refused([](auto& o) { o.grid = "out/preview.png", o.preview_every = 1; },
                 "--grid and --preview name the same file");
  expect_refused([](auto& o) { o.grid = "out/000016.png"; }, "names the file of seed 16");
  expect_refused([](auto& o) { o.subdirs = true, o.grid = "out/000000/000017.png"; }, "seed 17");
  EXPECT_EQ(refusal([](auto& o) { o.grid = "out/000018.png"; }), "");
  EXPECT_EQ(refusal([](auto& o) { o.grid = "other/000016.png"; }), "");
}

TEST(OutputOptions, NetworksAreNotOverwritten) {
  const test::TempDir dir;
  std::ofstream(dir / "net.npz") << "x";
  fs::create_symlink(dir / "net.npz", dir / "link.npz");
  expect_refused([&](auto& o) { o.net = dir / "net.npz", o.npz = dir / "link.npz"; },
                 "--net and --npz name the same file");
}

TEST(OutputOptions, EndingsSayTheFormat) {
  expect_refused([](auto& o) { o.grid = "g.jpg"; }, "must end with .png, unlike 'g.jpg'");
  expect_refused([](auto& o) { o.latents = "l.pt"; }, ".npz or .safetensors");
  expect_refused([](auto& o) { o.trajectory_grid = "l.gif"; }, ".webp or .png");
}

TEST(OutputOptions, WhatNeedsSomethingElse) {
  expect_refused([](auto& o) { o.trajectory_frames = 4; }, "--trajectory-frames needs");
  expect_refused([](auto& o) { o.preview_file = "p.png"; }, "--preview-file needs --preview");
  expect_refused([](auto& o) { o.outdir.reset(), o.grid = "g.png", o.preview_every = 2; },
                 "--preview needs");
  expect_refused(
      [](auto& o) { o.outdir.reset(), o.grid = "g.png", o.trajectory = TrajectoryFormat::strip; },
      "--trajectory needs --outdir");
  expect_refused([](auto& o) { o.outdir.reset(), o.grid = "g.png", o.resume = true; },
                 "--resume needs --outdir");
  for (const auto field : {&GenerateOptions::npz, &GenerateOptions::latents})
    expect_refused([&](auto& o) { o.resume = true, o.*field = "a.npz"; },
                   "cannot be filled with --resume");
  EXPECT_EQ(refusal([](auto& o) { o.resume = true, o.grid = "g.png"; }), "");
}

}  // namespace edm2
