// Network files that are not what was meant, or not the original's, as a user meets them.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "edm2/io/atomic_file.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/zip.h"
#include "edm2/nn/snapshot.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/pickle_protocols.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using test::contains;
using test::expect_error;
using test::run_edm2;
using test::RunResult;

RunResult generate(const std::string& net, const fs::path& outdir) {
  return run_edm2({"generate", "--net", net, "--outdir", outdir, "--seeds=0-1", "--steps=2"});
}

}  // namespace

TEST(NetworkFilesCli, ForeignContentsAreNamed) {
  const test::TempDir dir;
  const std::pair<std::string, std::string> contents[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"},
      {"<!DOCTYPE html><html><head><title>Denied</title></head></html>", "web page (HTML)"},
      {"\n <html>\n", "web page (HTML)"},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "(XML)"},
      {"\x1f\x8b\x08\0\0\0\0\0\0\0"s, "gzip"},
      {"\0\x05\x16\x07\0\x02\0\0"s + std::string(100, '\0'), "AppleDouble"},
      {std::string(4096, '\0'), "zero bytes"},
      {"", "empty"},
      {"hello", "no pickle, safetensors or torch file"}};
  for (const auto& [text, words] : contents) {
    write_file(dir / "net.pkl", text);
    for (const auto& run : {generate(dir / "net.pkl", dir / "out"),
                            run_edm2({"convert", dir / "net.pkl", dir / "out.safetensors"})})
      expect_error(run, 1, words);
  }
  ZipWriter zip(dir / "net.pkl");
  zip.add("00000/img00000000.png", "x");
  zip.finish();
  expect_error(generate(dir / "net.pkl", dir / "out"), 1,
               "no data.pkl: not a file of torch.save, but an archive of other files "
               "('00000/img00000000.png' is the first)");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(NetworkFilesCli, WeightsThatAreNotFiniteEndInAnError) {
  const test::TempDir dir;
  Snapshot snapshot = test::small_snapshot(0);
  for (auto& [name, tensor] : snapshot.tensors)
    if (name == "unet.out_conv.weight")
      tensor.flatten()[3] = std::numeric_limits<double>::infinity();
  fs::create_directory(dir / "run");
  for (const char* name :
       {"network-snapshot-0000001-0.050.pkl", "network-snapshot-0000001-0.100.pkl"})
    save_snapshot(dir / "run" / name, snapshot, SnapshotFormat::pickle);
  const std::string net = dir / "run" / "network-snapshot-0000001-0.050.pkl";
  for (const std::string& source : {net, (dir / "run").string() + "@0.07"}) {
    const RunResult run = generate(source, dir / "out");
    expect_error(run, 1, "unet.out_conv.weight are not finite");
    EXPECT_TRUE(contains(run.err, source)) << run.err;
  }
  EXPECT_FALSE(fs::exists(dir / "out"));
  const RunResult info = run_edm2({"info", net});
  EXPECT_TRUE(contains(info.out, "unet.out_conv.weight")) << info.out;
}

TEST(NetworkFilesCli, FoldersOfOtherTrainersAreTold) {
  const test::TempDir dir;
  fs::create_directory(dir / "checkpoint-500");
  write_file(dir / "checkpoint-500/model.safetensors", "x");
  for (const RunResult& run :
       {generate(dir / "checkpoint-500", dir / "out"), run_edm2({"info", dir / "checkpoint-500"})})
    expect_error(run, 1, "checkpoint-500/model.safetensors");
}

TEST(NetworkFilesCli, NetworksOfForksAreDrawnWithANote) {
  const test::TempDir dir;
  Snapshot snapshot = test::small_snapshot(0);
  save_snapshot(dir / "whole.pkl", snapshot, SnapshotFormat::pickle);
  std::erase_if(snapshot.tensors,
                [](const auto& entry) { return entry.first.starts_with("logvar_"); });
  snapshot.network.has_logvar = false;
  const RunResult whole = run_edm2({"generate", "--net", dir / "whole.pkl", "--outdir",
                                    dir / "whole", "--seeds=0-1", "--steps=2"});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  for (const char* name : {"a.pkl", "a.safetensors", "a.pt"}) {
    save_snapshot(dir / name, snapshot, snapshot_format_for(name));
    for (const char* engine : {"auto", "reference"}) {
      const RunResult run = run_edm2({"generate", "--net", dir / name, "--outdir", dir / "out",
                                      "--seeds=0-1", "--steps=2", "--engine"s + "=" + engine});
      ASSERT_EQ(run.exit_code, 0) << run.err;
    }
    EXPECT_EQ(read_text_file(dir / "out" / "000001.png").size() > 0, true);
    ASSERT_EQ(run_edm2({"convert", dir / name, dir / "back.pkl", "--check"}).exit_code, 0);
    EXPECT_TRUE(contains(run_edm2({"info", dir / name}).out, "has_logvar"));
  }
}

TEST(NetworkFilesCli, OldPicklesAreNetworks) {
  const test::TempDir dir;
  save_snapshot(dir / "new.pkl", test::small_snapshot(3), SnapshotFormat::pickle);
  const std::string pickle = read_text_file(dir / "new.pkl");
  ASSERT_EQ(generate(dir / "new.pkl", dir / "new").exit_code, 0);
  for (int protocol = 0; protocol <= 5; ++protocol) {
    SCOPED_TRACE(protocol);
    write_file(dir / "old.pkl", test::in_protocol(pickle, protocol));
    const RunResult run = generate(dir / "old.pkl", dir / "old");
    ASSERT_EQ(run.exit_code, 0) << run.err;
    for (const char* name : {"000000.png", "000001.png"})
      EXPECT_EQ(test::read_image(dir / "old" / name).pixels,
                test::read_image(dir / "new" / name).pixels);
    EXPECT_TRUE(contains(run_edm2({"info", dir / "old.pkl"}).out, "network snapshot"));
  }
}

}  // namespace edm2
