// What the user names is looked for, downloaded, locked and hashed once in a run.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/program.h"
#include "edm2/ema/snapshot_name.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/digest.h"
#include "edm2/nn/snapshot_tools.h"
#include "support/call_recorder.h"
#include "support/detector_weights.h"
#include "support/http_server.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using Counts = std::map<std::string, int>;
using Words = std::vector<std::string>;

/// Commands in this process, so that its calls are seen, with files of a web server.
class SourceUseCli : public testing::Test {
 protected:
  SourceUseCli() {
    for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) unsetenv(name);
    setenv("DNNLIB_CACHE_DIR", (dir / "cache").c_str(), 1);
    fs::create_directories(web);
    save_snapshot(web / "net.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
    save_snapshot(web / "guide.pkl", test::small_snapshot(0, 8), SnapshotFormat::pickle);
    write_file(web / "labels.csv", "0,1,0,0,0\n0,0,0,1,0\n");
  }

  ~SourceUseCli() override { unsetenv("DNNLIB_CACHE_DIR"); }

  /// Runs the program, which must succeed; then tells what it has done.
  void run(Words words) {
    words.insert(words.begin(), "edm2");
    words.emplace_back("--quiet");
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    const size_t before = server.count();
    test::take_recorded_calls();
    cli::CommandContext context;
    testing::internal::CaptureStdout();
    const int code =
        cli::run_program(static_cast<int>(argv.size()), argv.data(), context, cli::add_commands);
    const std::string output = testing::internal::GetCapturedStdout();
    EXPECT_EQ(code, 0) << words[1] << " " << output;
    calls = test::take_recorded_calls();
    requests.clear();
    const auto all = server.requests();
    for (size_t i = before; i < all.size(); ++i) ++requests[all[i].target];
  }

  std::string download_lock(const std::string& name) const {
    return dir / "cache" / "downloads" / ("tmp_" + md5_hex(server.url(name)) + ".lock");
  }

  /// `names` are of the server's files. The first time each is downloaded under its lock; later
  /// each is looked for once in the cache.
  void expect_each_once(const Words& words, const std::vector<std::string>& names) {
    Counts targets, locks;
    for (const std::string& name : names) {
      targets["/" + name] = 1;
      locks[download_lock(name)] = 1;
    }
    run(words);
    EXPECT_EQ(requests, targets);
    EXPECT_EQ(calls.locks, locks);
    run(words);
    EXPECT_EQ(requests, Counts());
    EXPECT_EQ(calls.locks, Counts());
    for (const std::string& name : names)
      EXPECT_EQ(calls.digests[md5_hex(server.url(name))], 1) << name;
  }
  void expect_hashed(const std::string& name, int times) {
    const std::string hex = sha256_of_file(web / name);
    EXPECT_EQ(calls.digests[hex], times) << name;
  }
  void expect_weights_hashed(const std::string& name, int times) {
    const std::string hex = weights_sha256(load_snapshot(web / name));
    EXPECT_EQ(calls.digests[hex], times) << name;
  }

  /// Networks of latents and their VAE.
  void write_latent_networks() {
    for (const auto& [name, label_dim] : {std::pair("net.pkl", 5), {"guide.pkl", 0}}) {
      NetworkOptions options = test::tiny_options(label_dim);
      options.img_channels = 4;
      Precond network(options);
      Snapshot snapshot = make_snapshot(network);
      snapshot.encoder = stability_vae_options();
      save_snapshot(web / name, snapshot, SnapshotFormat::pickle);
    }
    AutoencoderOptions vae;
    vae.block_out_channels = {32, 32, 32};  // 32 groups, which a file alone implies
    vae.layers_per_block = 1;
    test::write_autoencoder(dir / "vae", test::small_autoencoder(vae));
    fs::rename(dir / "vae" / "diffusion_pytorch_model.safetensors", web / "vae.safetensors");
  }

  test::TempDir dir;
  const fs::path web = dir / "web";
  const test::HttpServer server{
      {[this](const test::ServerRequest& request, test::ServerConnection& connection) {
        if (request.target == "/run/") {
          std::string page;
          for (const auto& entry : fs::directory_iterator(web / "run"))
            page += "<a href=\"" + entry.path().filename().string() + "\">x</a>";
          return test::serve({.body = page})(request, connection);
        }
        test::serve({.body = test::read_file(web / request.target.substr(1))})(request, connection);
      }}};
  test::RecordedCalls calls;
  Counts requests;  ///< of addresses, in the last run
};

}  // namespace

TEST_F(SourceUseCli, Generate) {
  write_latent_networks();
  expect_each_once({"generate", "--net", server.url("net.pkl"), "--gnet", server.url("guide.pkl"),
                    "--guidance=1.5", "--vae", server.url("vae.safetensors"), "--labels",
                    server.url("labels.csv"), "--seeds=0-2", "--steps=2", "--outdir", dir / "out"},
                   {"net.pkl", "guide.pkl", "vae.safetensors", "labels.csv"});
  for (const char* name : {"net.pkl", "guide.pkl", "vae.safetensors"}) expect_hashed(name, 1);
}

TEST_F(SourceUseCli, ScoresOfANetworkAndTheirVerification) {
  fs::copy(test::shared_dinov2_file(), web / "dino.pth");
  test::write_small_dataset(dir / "data");
  const Words detector = {"--metrics=fd_dinov2", "--dinov2", server.url("dino.pth")};
  const auto metrics = [&](Words words) {
    words.insert(words.begin(), "metrics");
    words.insert(words.end(), detector.begin(), detector.end());
    return words;
  };
  expect_each_once(metrics({"ref", "--data", dir / "data", "--dest", (web / "ref.pkl").string(),
                            "--features", (web / "ref.npz").string()}),
                   {"dino.pth"});

  fs::remove_all(dir / "cache");
  const Words references = {"--ref", server.url("ref.pkl"), "--ref-features",
                            server.url("ref.npz")};
  Words words = {
      "gen",          "--net",   server.url("net.pkl"), "--gnet",     server.url("guide.pkl"),
      "--guidance=2", "--num=4", "--steps=2",           "--manifest", dir / "scores.json"};
  words.insert(words.end(), references.begin(), references.end());
  const std::vector<std::string> names = {"net.pkl", "guide.pkl", "ref.pkl", "ref.npz", "dino.pth"};
  const auto expect_all_hashed = [&] {
    for (const char* name : {"net.pkl", "guide.pkl"}) expect_weights_hashed(name, 1);
    for (const char* name : {"ref.pkl", "ref.npz", "dino.pth"}) expect_hashed(name, 1);
  };
  expect_each_once(metrics(words), names);
  expect_all_hashed();

  fs::remove_all(dir / "cache");
  expect_each_once({"metrics", "verify", dir / "scores.json", "--device=cpu"}, names);
  expect_all_hashed();
}

TEST_F(SourceUseCli, ScoresOfPictures) {
  fs::copy(test::shared_dinov2_file(), web / "dino.pth");
  fs::copy(test::reference_dir() / "training" / "digits16.zip", web / "data.zip");
  run({"metrics", "ref", "--data", web / "data.zip", "--dest", (web / "ref.pkl").string(),
       "--metrics=fd_dinov2", "--dinov2", web / "dino.pth"});
  expect_each_once({"metrics", "calc", "--images", server.url("data.zip"), "--num=10", "--ref",
                    server.url("ref.pkl"), "--metrics=fd_dinov2", "--dinov2",
                    server.url("dino.pth"), "--manifest", dir / "scores.json"},
                   {"data.zip", "ref.pkl", "dino.pth"});
  for (const char* name : {"ref.pkl", "dino.pth"}) expect_hashed(name, 1);
}

TEST_F(SourceUseCli, Sweep) {
  fs::create_directories(dir / "run");
  uint64_t seed = 0;
  for (const double std : {0.05, 0.1}) {
    const SnapshotName name{"network-snapshot", kimg_from_nimg(1024), std};
    save_snapshot(dir / "run" / name.file_name(), test::small_snapshot(5, ++seed),
                  SnapshotFormat::pickle);
  }
  for (const char* outdir : {"first", "second"}) {
    run({"sweep", dir / "run", "--stds=0.05,0.1", "--guidances=1.5,2", "--gnet",
         server.url("guide.pkl"), "--seeds=0,1", "--steps=1", "--outdir", dir / outdir});
    EXPECT_EQ(requests["/guide.pkl"], outdir == std::string("first") ? 1 : 0);
    expect_hashed("guide.pkl", 1);
  }
  EXPECT_EQ(calls.digests[md5_hex(server.url("guide.pkl"))], 1);
}

TEST_F(SourceUseCli, Train) {
  fs::copy(test::reference_dir() / "training" / "digits16.zip", web / "data.zip");
  const auto train = [&](const std::string& outdir) {
    return Words{"train",
                 "--outdir",
                 dir / outdir,
                 "--data",
                 server.url("data.zip"),
                 "--init-from",
                 server.url("net.pkl"),
                 "--batch=1024",
                 "--batch-gpu=64",
                 "--duration=1024",
                 "--snapshot=0",
                 "--checkpoint=0",
                 "--status=0",
                 "--device=cpu"};
  };
  run(train("first"));
  EXPECT_EQ(requests, (Counts{{"/data.zip", 1}, {"/net.pkl", 1}}));
  for (const char* name : {"data.zip", "net.pkl"})
    EXPECT_EQ(calls.locks[download_lock(name)], 1) << name;
  run(train("second"));
  EXPECT_EQ(requests, Counts());
  for (const char* name : {"data.zip", "net.pkl"})
    EXPECT_EQ(calls.digests[md5_hex(server.url(name))], 1) << name;
}

TEST_F(SourceUseCli, Reconstruct) {
  fs::create_directories(web / "run");
  Counts targets = {{"/run/", 1}};
  uint64_t seed = 0;
  for (const double std : {0.05, 0.1}) {
    const SnapshotName name{"network-snapshot", kimg_from_nimg(1024), std};
    save_snapshot(web / "run" / name.file_name(), test::small_snapshot(3, ++seed),
                  SnapshotFormat::pickle);
    targets["/run/" + name.file_name()] = 1;
  }
  run({"reconstruct", "--indir", server.url("run/"), "--outdir", dir / "out", "--outstd=0.07"});
  EXPECT_EQ(requests, targets);
  EXPECT_EQ(calls.locks.size(), targets.size());
  for (const auto& [path, count] : calls.locks) EXPECT_EQ(count, 1) << path;
}

}  // namespace edm2
