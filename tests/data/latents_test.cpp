#include "edm2/data/latents.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/core/random.h"
#include "edm2/data/dataset.h"
#include "edm2/data/encoder.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/zip.h"
#include "support/checks.h"
#include "support/paths.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

/// Noise of a few sizes, in two folders.
void write_pictures(const fs::path& folder, int count) {
  for (int i = 0; i < count; ++i) {
    NumpyRandom random(static_cast<uint32_t>(i));
    Image image{16 + 8 * (i % 2), 16, 3, {}};
    for (int64_t k = 0; k < 3 * image.width * image.height; ++k)
      image.pixels.push_back(static_cast<uint8_t>(256 * random.uniform()));
    const fs::path path = folder / (i % 3 == 0 ? "a" : "b") / (std::to_string(i) + ".png");
    fs::create_directories(path.parent_path());
    write_file(path, encode_png(image));
  }
}

LatentOptions from_to(const fs::path& source, const fs::path& dest) {
  LatentOptions options;
  options.source.path = source;
  options.dest = dest;
  options.vae = test::data_dir() / "vae";
  options.device = "cpu";
  return options;
}

std::vector<std::byte> bytes_of(const fs::path& path) {
  const std::string text = read_text_file(path);
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

class Silent : public Progress {
 public:
  void message(const std::string&) override {}
  void start(const std::string&, int64_t, const std::string&) override {}
  void advance(int64_t) override {}
  void finish() override {}
};

/// Breaks off after some items, as Ctrl-C does.
class Impatient : public Silent {
 public:
  explicit Impatient(int64_t items) : left_(items) {}
  void advance(int64_t count) override {
    left_ -= count;
    if (left_ <= 0) throw Interrupted(2);
  }

 private:
  int64_t left_;
};

LatentResult encode(const LatentOptions& options) {
  Silent progress;
  return encode_dataset(options, progress, *ProcessGroup::single());
}

LatentResult decode(const LatentOptions& options) {
  Silent progress;
  return decode_dataset(options, progress, *ProcessGroup::single());
}

}  // namespace

TEST(EncodeDataset, StoresWhatTheEncoderGives) {
  const test::TempDir dir;
  write_pictures(dir / "in", 4);
  EXPECT_EQ(encode(from_to(dir / "in", dir / "out.zip")).written, 4);
  const ZipReader zip(dir / "out.zip");
  EXPECT_EQ(zip.names(), (std::vector<std::string>{
                             "00000/img-mean-std-00000000.npy", "00000/img-mean-std-00000001.npy",
                             "00000/img-mean-std-00000002.npy", "00000/img-mean-std-00000003.npy",
                             "dataset.json"}));
  const auto json = zip.read("dataset.json");
  EXPECT_EQ(
      std::string(reinterpret_cast<const char*>(json.data()), json.size()),
      R"({"labels": [["00000/img-mean-std-00000000.npy", 0], ["00000/img-mean-std-00000001.npy", 0], ["00000/img-mean-std-00000002.npy", 1], ["00000/img-mean-std-00000003.npy", 1]]})");
  EncoderSetup setup;
  setup.vae = test::data_dir() / "vae";
  const auto encoder = make_encoder(encoder_for_dataset(8), setup);
  const Image image = decode_rgb(bytes_of(dir / "in/a/3.png"), "3.png");
  const Tensor pixels = at::tensor(image.pixels, at::kByte)
                            .reshape({1, image.height, image.width, 3})
                            .permute({0, 3, 1, 2});
  const Tensor stored = read_npy(zip.read("00000/img-mean-std-00000001.npy"));  // a/3.png
  EXPECT_TRUE(at::equal(stored, encoder->encode_pixels(pixels)[0]));
  EXPECT_EQ(stored.sizes(), (std::vector<int64_t>{8, 8, 12}));
  EXPECT_FALSE(fs::exists(dir / "out.zip.partial"));
}

TEST(EncodeDataset, GoesOnAfterAnInterruption) {
  const test::TempDir dir;
  write_pictures(dir / "in", 7);
  LatentOptions options = from_to(dir / "in", dir / "out.zip");
  options.measure = true;
  encode(options);
  const std::string whole = read_text_file(dir / "out.zip");
  for (const bool folder : {false, true}) {
    const fs::path dest = dir / (folder ? "again" : "again.zip");
    options.dest = dest;
    Impatient impatient(3);
    EXPECT_THROW(encode_dataset(options, impatient, *ProcessGroup::single()), Interrupted);
    EXPECT_FALSE(fs::exists(dest));
    // As after a crash of the machine: a file without its contents.
    fs::resize_file(dest.string() + ".partial/00000/img-mean-std-00000001.npy", 100);
    const LatentResult result = encode(options);
    EXPECT_EQ(result.kept, 2);
    EXPECT_EQ(result.written, 7);
    EXPECT_FALSE(fs::exists(dest.string() + ".partial"));
    if (folder) {
      const ZipReader zip(dir / "out.zip");
      for (const std::string& name : zip.names())
        EXPECT_TRUE(bytes_of(dest / name) == zip.read(name)) << name;
    } else {
      EXPECT_TRUE(read_text_file(dest) == whole);
    }
  }
}

TEST(EncodeDataset, TakesNothingOverFromOtherWork) {
  const test::TempDir dir;
  write_pictures(dir / "in", 4);
  LatentOptions options = from_to(dir / "in", dir / "out.zip");
  Impatient impatient(2);
  EXPECT_THROW(encode_dataset(options, impatient, *ProcessGroup::single()), Interrupted);
  options.max_images = 3;
  EXPECT_NE(test::error_of([&] { encode(options); }).find("another max-images"), std::string::npos);
  options.max_images = {};
  fs::remove(dir / "in/b/1.png");
  EXPECT_NE(test::error_of([&] { encode(options); }).find("another names"), std::string::npos);
}

TEST(EncodeDataset, NamesWhatItCannotEncode) {
  const test::TempDir dir;
  write_pictures(dir / "in", 2);
  write_file(dir / "in/c.png", encode_png({21, 16, 3, std::vector<uint8_t>(1008, 1)}));
  LatentOptions options = from_to(dir / "in", dir / "out.zip");
  const std::string error = test::error_of([&] { encode(options); });
  EXPECT_NE(error.find("'c.png'"), std::string::npos) << error;
  EXPECT_NE(error.find("not multiples of 2"), std::string::npos) << error;
  options.on_error = OnError::skip;
  const LatentResult result = encode(options);
  EXPECT_EQ(result.written, 2);
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].name, "c.png");
  options.dest = dir / "x.tar";
  EXPECT_THROW(encode(options), Error);
}

TEST(DecodeDataset, DrawsEachPictureFromItsOwnSeed) {
  const test::TempDir dir;
  write_pictures(dir / "in", 3);
  encode(from_to(dir / "in", dir / "latents.zip"));
  LatentOptions options = from_to(dir / "latents.zip", dir / "out.zip");
  options.seed = 5;
  decode(options);
  EncoderSetup setup;
  setup.vae = test::data_dir() / "vae";
  const auto encoder = make_encoder(encoder_for_dataset(8), setup);
  const ZipReader latents(dir / "latents.zip"), pictures(dir / "out.zip");
  ASSERT_EQ(pictures.names().front(), "00000/img00000000.png");
  const Tensor raw = read_npy(latents.read("00000/img-mean-std-00000002.npy")).unsqueeze(0);
  const std::vector<int64_t> seeds = {5 + 2};
  StackedGenerator random(at::kCPU, seeds);
  const Tensor expected = encoder->decode(
      encoder->encode_latents(raw, [&](const Tensor& like) { return random.randn_like(like); }));
  EXPECT_EQ(decode_rgb(pictures.read("00000/img00000002.png"), "x").pixels,
            to_image(expected[0]).pixels);
  const auto labels = [](const ZipReader& zip) {
    const auto bytes = zip.read("dataset.json");
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    return nlohmann::json::parse(text, text + bytes.size())["labels"].size();
  };
  EXPECT_EQ(labels(pictures), labels(latents));
}

TEST(DecodeDataset, NamesTheShapeThatItCannotDecode) {
  const test::TempDir dir;
  fs::create_directory(dir / "in");
  write_file(dir / "in/a.npy", npy_bytes(at::zeros({4, 2, 2})));
  const std::string error = test::error_of([&] { decode(from_to(dir / "in", dir / "out.zip")); });
  EXPECT_NE(error.find("'a.npy'"), std::string::npos) << error;
  EXPECT_NE(error.find("4x2x2"), std::string::npos) << error;
  write_pictures(dir / "pictures", 1);
  EXPECT_NE(test::error_of([&] {
              decode(from_to(dir / "pictures", dir / "out.zip"));
            }).find("there are no latents"),
            std::string::npos);
}

TEST(LatentStatistics, AreThoseOfDrawnLatents) {
  const test::TempDir dir;
  write_pictures(dir / "in", 6);
  LatentOptions options = from_to(dir / "in", dir / "out.zip");
  EXPECT_FALSE((encode(options), read_latent_statistics(dir / "out.zip")));
  options.measure = true;
  encode(options);
  const auto statistics = read_latent_statistics(dir / "out.zip");
  ASSERT_TRUE(statistics);
  EXPECT_EQ(statistics->images, 6);
  // Many draws of all latents.
  const ZipReader zip(dir / "out.zip");
  std::vector<Tensor> draws;
  at::manual_seed(1);
  for (const std::string& name : zip.names()) {
    if (name == "dataset.json") continue;
    const auto parts = read_npy(zip.read(name)).to(at::kDouble).flatten(1).chunk(2);  // [4,P]
    for (int i = 0; i < 3000; ++i) draws.push_back(parts[0] + parts[1] * at::randn_like(parts[1]));
  }
  const Tensor all = at::cat(draws, 1);
  const EncoderOptions encoder = with_measured_statistics(stability_vae_options(), dir / "out.zip");
  for (int64_t c = 0; c < 4; ++c) {
    const auto i = static_cast<size_t>(c);
    const double std = all[c].std().item<double>();
    EXPECT_NEAR(statistics->mean[i], all[c].mean().item<double>(), 0.02 * std);
    EXPECT_NEAR(statistics->std[i] / std, 1, 0.02);
    // The trainer's mapping: mean 0, deviation 0.5.
    const Tensor mapped = all[c] * encoder.scale[i] + encoder.bias[i];
    EXPECT_NEAR(mapped.mean().item<double>(), 0, 0.01);
    EXPECT_NEAR(mapped.std().item<double>(), 0.5, 0.01);
  }
  EXPECT_EQ(with_measured_statistics(EncoderOptions(), dir / "out.zip"), EncoderOptions());
  // The original's reader sees its labels only; ours reads latents.
  const ImageDataset dataset({.path = dir / "out.zip", .look_ahead = false});  // of several sizes
  EXPECT_EQ(dataset.label_dim(), 2);
}

}  // namespace edm2
