// edm2 generate with a network that makes latents.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/data/encoder.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "support/checks.h"
#include "support/golden.h"
#include "support/http_server.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::read_file;
using test::run_edm2;
using test::RunResult;
using Words = std::vector<std::string>;

/// A network of 8x8 latents, and a VAE that makes 32x32 pictures of them.
class GenerateLatentsCli : public testing::Test {
 protected:
  void SetUp() override {
    NetworkOptions options = test::tiny_options(3);
    options.img_channels = 4;
    at::manual_seed(9);
    Precond network(options);
    for (auto& entry : network.named_parameters())
      if (entry.name.ends_with("gain")) entry.tensor->fill_(0.7);
    Snapshot snapshot = make_snapshot(network);
    snapshot.encoder = encoder_for_dataset(8);
    save_snapshot(dir / "net.pkl", snapshot, SnapshotFormat::pickle);
    test::write_autoencoder(dir / "vae",
                            test::small_autoencoder(test::small_autoencoder_options()));
  }
  /// Nothing of this machine is found or downloaded.
  RunResult generate(Words words, const std::string& outdir = "out") const {
    words.insert(words.begin(), {"generate", "--net", dir / "net.pkl", "--steps=2", "--offline",
                                 "--cache-dir", dir / "cache"});
    if (!outdir.empty()) words.insert(words.end(), {"--outdir", dir / outdir});
    return run_edm2(words, {.environment = {{"HOME", (dir / "home").string()},
                                            {"XDG_CACHE_HOME", {}},
                                            {"HF_HOME", {}},
                                            {"HF_HUB_CACHE", {}},
                                            {"HUGGINGFACE_HUB_CACHE", {}},
                                            {"HF_ENDPOINT", {}}}});
  }
  test::TempDir dir;
};

}  // namespace

TEST_F(GenerateLatentsCli, PicturesOfTheLatents) {
  const RunResult run = generate({"--seeds=0-5", "--vae", dir / "vae", "--npz", dir / "all.npz",
                                  "--grid", dir / "grid.png", "--trajectory=strip"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("Setting up StabilityVAEEncoder..."), std::string::npos) << run.out;

  const NpzFile arrays(dir / "all.npz");
  EncoderSetup setup;
  setup.vae = dir / "vae";
  const auto encoder = make_encoder(encoder_for_dataset(8), setup);
  const Tensor expected = encoder->decode(arrays.get("latents")).permute({0, 2, 3, 1});
  EXPECT_EQ(expected.sizes(), (at::IntArrayRef{6, 32, 32, 3}));
  EXPECT_TRUE(at::equal(arrays.get("arr_0"), expected));
  for (int64_t seed = 0; seed < 6; ++seed) {
    const Image image = test::read_image(dir / "out" / ("00000" + std::to_string(seed) + ".png"));
    ASSERT_EQ(image.width, 32);
    EXPECT_EQ(std::memcmp(image.pixels.data(), expected[seed].contiguous().data_ptr(), 32 * 32 * 3),
              0);
  }
  EXPECT_TRUE(fs::exists(dir / "grid.png"));
  EXPECT_TRUE(fs::exists(dir / "out" / "000003-steps.png"));
}

TEST_F(GenerateLatentsCli, SamePicturesInAnyBatchAndFromAnyFile) {
  ASSERT_EQ(generate({"--seeds=0-5", "--vae", dir / "vae"}, "a").exit_code, 0);
  ASSERT_EQ(generate({"--seeds=0-5", "--batch=1", "--vae",
                      dir / "vae/diffusion_pytorch_model.safetensors"},
                     "b")
                .exit_code,
            0);
  ASSERT_EQ(generate({"--seeds=0-5", "--nproc=2", "--vae", "file://" + (dir / "vae").string()}, "c")
                .exit_code,
            0);
  for (int seed = 0; seed < 6; ++seed) {
    const std::string name = "00000" + std::to_string(seed) + ".png";
    const Image expected = test::read_image(dir / "a" / name);
    EXPECT_EQ(test::read_image(dir / "b" / name).pixels, expected.pixels) << name;
    EXPECT_EQ(test::read_image(dir / "c" / name).pixels, expected.pixels) << name;
  }
}

TEST_F(GenerateLatentsCli, TheVaeIsFoundInTheHubsCache) {
  const fs::path revision =
      dir / "home/.cache/huggingface/hub/models--stabilityai--sd-vae-ft-mse/snapshots/1";
  fs::create_directories(revision.parent_path());
  fs::rename(dir / "vae", revision);
  const RunResult run = generate({"--seeds=0"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(test::read_image(dir / "out" / "000000.png").width, 32);
}

TEST_F(GenerateLatentsCli, TheVaeByItsAddress) {
  AutoencoderOptions options;
  options.block_out_channels = {32, 32, 32};  // 32 groups, which a file alone implies
  options.layers_per_block = 1;
  test::write_autoencoder(dir / "vae", test::small_autoencoder(options));
  const test::HttpServer server(
      {test::serve({.body = read_file(dir / "vae/diffusion_pytorch_model.safetensors")})});
  const Words words = {"--seeds=0", "--vae", server.url("diffusion_pytorch_model.safetensors")};
  expect_error(generate(words), 1, "--offline");
  const RunResult run =
      run_edm2({"generate", "--net", dir / "net.pkl", "--steps=2", "--cache-dir", dir / "cache",
                "--outdir", dir / "out", words[0], words[1], words[2]});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  ASSERT_EQ(generate({words[0], "--vae", dir / "vae"}, "expected").exit_code, 0);
  EXPECT_EQ(test::read_image(dir / "out" / "000000.png").pixels,
            test::read_image(dir / "expected" / "000000.png").pixels);
  // It is in the cache now; if it breaks there, the message tells how to get rid of it.
  ASSERT_EQ(generate(words, "again").exit_code, 0);
  for (const auto& file : fs::directory_iterator(dir / "cache" / "downloads"))
    if (file.path().filename().string().find("diffusion") != std::string::npos)
      fs::resize_file(file.path(), 1000);
  expect_error(generate(words, "broken"), 1, "edm2 cache clear");
}

TEST_F(GenerateLatentsCli, LatentsAndPreviewsNeedNoVae) {
  const RunResult run = generate({"--seeds=0-1", "--latents", dir / "latents.npz", "--preview=1",
                                  "--preview-file", dir / "preview.png"},
                                 "");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(NpzFile(dir / "latents.npz").get("latents").sizes(), (at::IntArrayRef{2, 4, 8, 8}));
  EXPECT_TRUE(fs::exists(dir / "preview.png"));
}

TEST_F(GenerateLatentsCli, AMissingVaeIsToldBeforeTheWork) {
  for (const Words& output : {Words{}, Words{"--grid", dir / "grid.png"}}) {
    const RunResult run = generate(output);
    expect_error(run, 1, "--vae=FOLDER");
    EXPECT_NE(run.err.find("https://huggingface.co/stabilityai/sd-vae-ft-mse"), std::string::npos);
    EXPECT_EQ(run.out.find("Generating"), std::string::npos);
  }
  expect_error(generate({"--vae", dir / "nosuch"}), 1, "nosuch");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST_F(GenerateLatentsCli, DamagedVaes) {
  const fs::path weights = dir / "vae/diffusion_pytorch_model.safetensors";
  const std::string whole = read_file(weights);
  fs::resize_file(weights, whole.size() / 2);
  expect_error(generate({"--vae", dir / "vae"}), 1, weights.string());
  AutoencoderOptions other = test::small_autoencoder_options();
  other.latent_channels = 3;
  test::write_autoencoder(dir / "other", test::small_autoencoder(other));
  expect_error(generate({"--vae", dir / "other"}), 1, "makes latents of 3 channels");
  fs::remove(dir / "other" / "config.json");
  expect_error(generate({"--vae", dir / "other"}), 1, "config.json");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST_F(GenerateLatentsCli, PicturesSayWhichVaeMadeThem) {
  ASSERT_EQ(generate({"--seeds=0", "--vae", dir / "vae"}).exit_code, 0);
  const std::string bytes = read_file(dir / "out" / "000000.png");
  const PngText text = read_png_text(std::as_bytes(std::span(bytes)), "picture");
  const auto json = nlohmann::json::parse(text.at("edm2"));
  EXPECT_EQ(json.at("vae"), "vae");
  EXPECT_EQ(json.at("vae_sha256").get<std::string>().size(), 64u);
  // Another VAE's pictures are not mixed in.
  test::write_autoencoder(dir / "vae",
                          test::small_autoencoder(test::small_autoencoder_options(), 4));
  expect_error(generate({"--seeds=0,1", "--resume", "--vae", dir / "vae"}), 1, "vae_sha256");
}

}  // namespace edm2
