// edm2 generate as a user runs it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "edm2/nn/snapshot.h"
#include "support/checks.h"
#include "support/golden.h"
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

class GenerateCli : public testing::Test {
 protected:
  void SetUp() override {
    save_snapshot(dir / "net.pkl", test::small_snapshot(5), SnapshotFormat::pickle);
    save_snapshot(dir / "guide.pkl", test::small_snapshot(0, 8), SnapshotFormat::pickle);
  }
  RunResult generate(Words words, const std::string& outdir = "out") {
    words.insert(words.begin(), {"generate", "--net", dir / "net.pkl", "--outdir", dir / outdir,
                                 "--steps=3", "--quiet"});
    return run_edm2(words);
  }
  test::TempDir dir;
};

}  // namespace

TEST_F(GenerateCli, SamePicturesInAnyBatch) {
  for (const char* batch : {"1", "3", "8"}) {
    const RunResult run = generate({"--seeds=0-7", std::string("--batch=") + batch}, batch);
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  for (int seed = 0; seed < 8; ++seed) {
    const std::string name = "00000" + std::to_string(seed) + ".png";
    const std::string expected = read_file(dir / "8" / name);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(read_file(dir / "1" / name), expected) << name;
    EXPECT_EQ(read_file(dir / "3" / name), expected) << name;
  }
}

TEST_F(GenerateCli, EngineDrawsThePicturesOfTheReference) {
  const auto draw = [&](const std::string& engine) {
    const RunResult run = run_edm2({"generate", "--preset=demo", "--engine=" + engine, "--npz",
                                    dir / (engine + ".npz"), "--seeds=0-15", "--quiet"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return NpzFile(dir / (engine + ".npz")).get("arr_0").to(at::kInt);
  };
  const Tensor reference = draw("reference");
  const auto differences = [&](const Tensor& pictures) {
    const Tensor difference = (pictures - reference).abs();
    return std::pair(difference.max().item<int>(),
                     difference.gt(0).to(at::kDouble).mean().item<double>());
  };
  const auto [most, share] = differences(draw("auto"));
  EXPECT_LE(most, 1);
  EXPECT_LT(share, 1e-3);
  EXPECT_LT(differences(draw("fast")).second, 1e-2);
}

TEST_F(GenerateCli, SubdirsGridAndArrays) {
  const RunResult run =
      generate({"--seeds=998-1001", "--subdirs", "--class=2", "--guidance=1.5", "--gnet",
                dir / "guide.pkl", "--grid", dir / "grid.png", "--npz", dir / "all.npz"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const char* name :
       {"000000/000998.png", "000000/000999.png", "001000/001000.png", "001000/001001.png"})
    EXPECT_TRUE(fs::exists(dir / "out" / name)) << name;
  EXPECT_EQ(test::read_image(dir / "grid.png").width, 2 * 16 + 3 * 2);
  const NpzFile arrays(dir / "all.npz");
  const Tensor pictures = arrays.get("arr_0");  // [N, H, W, 3]
  EXPECT_EQ(pictures.sizes(), at::IntArrayRef({4, 16, 16, 3}));
  const Image first = test::read_image(dir / "out" / "000000/000998.png");
  EXPECT_EQ(std::memcmp(pictures[0].contiguous().data_ptr(), first.pixels.data(), 16 * 16 * 3), 0);
  EXPECT_TRUE(arrays.get("labels").argmax(1).equal(at::full({4}, 2, at::kLong)));
}

TEST_F(GenerateCli, SaysWhatItDoes) {
  const RunResult run = run_edm2(
      {"generate", "--net", dir / "net.pkl", "--outdir", dir / "out", "--steps=2", "--seeds=1,2"});
  EXPECT_EQ(run.exit_code, 0);
  for (const char* text :
       {"Loading main network from ", "Setting up StandardRGBEncoder...", "Generating 2 images..."})
    EXPECT_NE(run.out.find(text), std::string::npos) << run.out;
}

TEST_F(GenerateCli, EndsWithWhereThePicturesAre) {
  const std::string grid = dir / "grid.png";
  const RunResult run = run_edm2({"generate", "--net", dir / "net.pkl", "--outdir", dir / "out",
                                  "--steps=3", "--seeds=1-5", "--batch=2", "--grid", grid});
  EXPECT_EQ(run.exit_code, 0);
  EXPECT_TRUE(run.out.ends_with("Wrote 5 pictures to " + (dir / "out").string() +
                                "; all on one sheet: " + grid + "\n"))
      << run.out;
  EXPECT_NE(run.err.find("Generating: 5 pictures in "), std::string::npos) << run.err;
}

TEST_F(GenerateCli, BundledDemo) {
  const RunResult run = run_edm2({"generate", "--preset=demo", "--outdir", dir / "demo",
                                  "--steps=2", "--seeds=3", "--class=8"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("Loading guiding network from "), std::string::npos) << run.out;
  const Image picture = test::read_image(dir / "demo" / "000003.png");
  EXPECT_EQ(picture.width, 32);
  EXPECT_EQ(picture.channels, 3);
}

TEST_F(GenerateCli, ThreadsAndBatchesChangeNoBit) {
  const auto latents = [&](const std::string& threads, const std::string& batch) {
    const fs::path file = dir / ("t" + threads + "-b" + batch + ".npz");
    const RunResult run = run_edm2({"generate", "--preset=demo", "--latents", file, "--steps=2",
                                    "--seeds=0-16", "--batch=" + batch},
                                   {.environment = {{"OMP_NUM_THREADS", threads}}});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return NpzFile(file).get("latents");
  };
  const Tensor expected = latents("2", "32");
  for (const auto& [threads, batch] : {std::pair("1", "32"), {"3", "32"}, {"1", "5"}, {"4", "1"}})
    EXPECT_TRUE(latents(threads, batch).equal(expected)) << threads << " threads, batch " << batch;
}

TEST_F(GenerateCli, SolversMakeOwnPictures) {
  std::set<std::vector<uint8_t>> pictures;  // without the texts in their files
  for (const char* solver : {"heun", "euler", "dpmpp-2m", "dpmpp-3m", "unipc"}) {
    const RunResult run =
        generate({"--seeds=3", "--steps=6", std::string("--solver=") + solver}, solver);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const fs::path file = dir / solver / "000003.png";
    pictures.insert(test::read_image(file).pixels);
    EXPECT_NE(read_file(file).find("\"solver\":\"" + std::string(solver) + "\""),
              std::string::npos);
  }
  EXPECT_EQ(pictures.size(), 5u);
  EXPECT_EQ(generate({"--seeds=3", "--steps=6"}, "default").exit_code, 0);
  EXPECT_EQ(read_file(dir / "default" / "000003.png"), read_file(dir / "heun" / "000003.png"));
}

TEST_F(GenerateCli, GuidanceOneNeverOpensTheGuide) {
  ASSERT_EQ(generate({}, "without").exit_code, 0);
  const RunResult run = generate({"--guidance=1", "--gnet", dir / "nosuch.pkl"}, "with");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(read_file(dir / "with" / "000016.png"), read_file(dir / "without" / "000016.png"));
}

TEST_F(GenerateCli, GuidanceInterval) {
  const auto guided = [&](const std::string& interval) {
    const RunResult run = generate({"--seeds=3", "--guidance=3", "--gnet", dir / "guide.pkl",
                                    "--guidance-interval=" + interval},
                                   interval);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return test::read_image(dir / interval / "000003.png").pixels;
  };
  EXPECT_EQ(generate({"--seeds=3"}, "plain").exit_code, 0);
  const auto plain = test::read_image(dir / "plain" / "000003.png").pixels, all = guided("0,inf");
  EXPECT_NE(all, plain);
  EXPECT_EQ(guided("0.002,80"), guided("0.0020001,1e9"));  // levels 80, 2.5, 0.002
  EXPECT_EQ(guided("81,90"), plain);
  const auto some = guided("1,10");
  EXPECT_NE(some, plain);
  EXPECT_NE(some, all);

  for (const char* wrong : {"1", "1,2,3", "2,1", "1,1", "-1,2", "nan,2", "1,nan", "a,b", "", "1,"})
    expect_error(generate({std::string("--guidance-interval=") + wrong}, "out"), 2,
                 "'--guidance-interval'");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST_F(GenerateCli, WrongUsage) {
  expect_error(generate({"--solver=rk4"}), 2, "'--solver'");
  expect_error(generate({"--solver=unipc", "--S_churn=5"}), 2, "--S_churn");
  expect_error(generate({"--sigma_min=1e-60"}), 2, "--sigma_min");
  expect_error(generate({"--guidance=nan"}), 2, "--guidance");
  expect_error(generate({"--rho=inf"}), 2, "--rho");
  expect_error(generate({"--seeds=a"}), 2, "'--seeds'");
  expect_error(generate({"--seeds=1, 2-3"}), 2, "'--seeds'");
  expect_error(generate({"--steps=0"}), 2, "0 is not in the range x>=1.");
  expect_error(generate({"--batch=x"}), 2, "'--batch'");
  expect_error(generate({"--sigma_min=90"}), 2, "--sigma_min");
  expect_error(generate({"--class=-1"}), 2, "'--class'");
  expect_error(generate({"--device=gpu"}), 2, "--device");
  expect_error(run_edm2({"generate", "--net", dir / "net.pkl"}), 2, "'--outdir'");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST_F(GenerateCli, WrongData) {
  expect_error(generate({"--class=5"}), 1, "--class=5 is out of range");
  expect_error(generate({"--guidance=2"}), 1, "Please specify --gnet when using guidance");
  expect_error(generate({"--net", dir / "nosuch.pkl"}), 1, "nosuch.pkl");
  expect_error(run_edm2({"generate", "--preset=nonsense", "--outdir", dir / "out"}), 1,
               "Invalid configuration preset \"nonsense\"");
  expect_error(run_edm2({"generate", "--outdir", dir / "out"}), 1,
               "Please specify either --preset or --net");
  save_snapshot(dir / "small.pkl", test::small_snapshot(5, 1, 8), SnapshotFormat::pickle);
  expect_error(generate({"--guidance=2", "--gnet", dir / "small.pkl"}), 1, "guiding network");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST_F(GenerateCli, UnwritableFolder) {
  std::ofstream(dir / "file") << "in the way";
  expect_error(generate({}, "file"), 1, "--outdir");
  expect_error(generate({"--outdir=/proc/edm2"}), 1, "/proc/edm2");
}

TEST_F(GenerateCli, HostileSnapshots) {
  // Truncated.
  const std::string whole = read_file(dir / "net.pkl");
  std::ofstream(dir / "cut.pkl", std::ios::binary) << whole.substr(0, whole.size() / 2);
  expect_error(generate({"--net", dir / "cut.pkl"}), 1, "cut.pkl");
  // A pickle that would run a command.
  std::ofstream(dir / "evil.pkl", std::ios::binary)
      << std::string("\x80\x02") + "cos\nsystem\nU\x0b" + "touch pwned" + "\x85R.";
  expect_error(generate({"--net", dir / "evil.pkl"}), 1, "os.system");
  EXPECT_FALSE(fs::exists("pwned"));
  // A parameter is missing.
  save_snapshot(dir / "net.safetensors", test::small_snapshot(5), SnapshotFormat::safetensors);
  SafetensorsFile incomplete = load_safetensors(dir / "net.safetensors");
  EXPECT_EQ(std::erase_if(incomplete.tensors,
                          [](const auto& entry) {
                            return entry.first == "unet.dec.8x8_block0.conv_res1.weight";
                          }),
            1u);
  save_safetensors(dir / "incomplete.safetensors", incomplete.tensors, incomplete.metadata);
  expect_error(generate({"--net", dir / "incomplete.safetensors"}), 1,
               "unet.dec.8x8_block0.conv_res1.weight");
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(GenerateCliGolden, PicturesOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const fs::path reference = test::reference_dir();
  const test::TempDir dir;
  const fs::path nets = reference / "denoiser";
  const std::vector<std::pair<std::string, Words>> cases = {
      {"g1_random", {}},
      {"g1_class", {"--class=3"}},
      {"g1p7", {"--guidance=1.7", "--gnet", nets / "rgb16_uncond.pkl"}}};
  for (const auto& [name, extra] : cases) {
    SCOPED_TRACE(name);
    Words words = {"generate", "--net",     nets / "rgb16_cond.pkl", "--outdir",
                   dir / name, "--subdirs", "--seeds=0-7",           "--device=cpu",
                   "--quiet",  "--npz",     dir / (name + ".npz")};
    words.insert(words.end(), extra.begin(), extra.end());
    const RunResult run = run_edm2(words);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    int64_t values = 0, different = 0;
    for (int seed = 0; seed < 8; ++seed) {
      const std::string file = "000000/00000" + std::to_string(seed) + ".png";
      const Image a = test::read_image(dir / name / file);
      const Image e = test::read_image(reference / "sampler" / "images" / name / file);
      ASSERT_EQ(a.pixels.size(), e.pixels.size());
      for (size_t i = 0; i < a.pixels.size(); ++i) {
        const int difference = std::abs(a.pixels[i] - e.pixels[i]);
        EXPECT_LE(difference, 1);
        different += difference != 0;
        ++values;
      }
    }
    EXPECT_LT(static_cast<double>(different), 1e-3 * static_cast<double>(values));
    const NpzFile ours(dir / (name + ".npz")),
        theirs(reference / "sampler" / "generate_images.npz");
    EXPECT_TRUE(ours.get("labels").argmax(1).equal(theirs.get(name + ".class")));
    EXPECT_LE(test::max_difference(ours.get("latents"), theirs.get(name + ".latents")), 1e-3);
  }
}

}  // namespace edm2
