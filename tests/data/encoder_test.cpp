// Encoders: the original's numbers, batches, and what is refused.
#include "edm2/data/encoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>

#include "edm2/core/error.h"
#include "support/checks.h"
#include "support/golden.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

using test::max_difference;
using test::relative_error;

/// The reference's VAE; its arrays lie beside it.
std::unique_ptr<Encoder> reference_encoder(std::optional<int64_t> batch_size = {}) {
  EncoderSetup setup;
  setup.vae = test::data_dir() / "vae";
  setup.batch_size = batch_size;
  return make_encoder(encoder_for_dataset(8), setup);
}

NpzFile reference() { return NpzFile(test::data_dir() / "vae" / "vae.npz"); }

}  // namespace

TEST(EncoderGolden, EncodesAsTheOriginal) {
  const NpzFile expected(test::data_dir() / "vae" / "vae.npz");
  const auto encoder = reference_encoder(2);
  const Tensor raw = encoder->encode_pixels(expected.get("x"));
  EXPECT_EQ(raw.scalar_type(), at::kFloat);
  EXPECT_LE(relative_error(raw, expected.get("encode_pixels")), 1e-5);

  at::manual_seed(1234);
  const Tensor latents = encoder->encode_latents(expected.get("encode_pixels"));
  EXPECT_LE(relative_error(latents, expected.get("encode_latents")), 1e-6);
  Tensor without_spread = expected.get("encode_pixels");
  without_spread.narrow(1, 4, 4).zero_();
  EXPECT_LE(relative_error(encoder->encode_latents(without_spread),
                           expected.get("encode_latents_zero_std")),
            1e-6);
}

TEST(EncoderGolden, DecodesAsTheOriginal) {
  const NpzFile expected(test::data_dir() / "vae" / "vae.npz");
  const Tensor pixels = reference_encoder(2)->decode(expected.get("encode_latents"));
  EXPECT_EQ(pixels.scalar_type(), at::kByte);
  EXPECT_LE(max_difference(pixels, expected.get("decode_uint8")), 1);
  const double differ =
      pixels.ne(expected.get("decode_uint8")).to(at::kDouble).mean().item<double>();
  EXPECT_LT(differ, 1e-3);
}

TEST(EncoderGolden, NormalisationOfLatents) {
  const NpzFile expected(test::data_dir() / "vae" / "vae.npz");
  const EncoderOptions options = encoder_for_dataset(8);
  EXPECT_TRUE(at::equal(at::tensor(options.scale), expected.get("scale")));
  EXPECT_TRUE(at::equal(at::tensor(options.bias), expected.get("bias")));
}

TEST(Encoder, RgbPixelsAreTheirOwnLatents) {
  const auto encoder = make_encoder({});
  const Tensor pixels = at::arange(256).to(at::kByte).reshape({1, 1, 16, 16}).repeat({2, 3, 1, 1});
  EXPECT_TRUE(at::equal(encoder->encode_pixels(pixels), pixels));
  EXPECT_TRUE(at::equal(encoder->decode(encoder->encode_latents(pixels)), pixels));
  encoder->load(*make_progress(ProgressStyle::quiet));
  EXPECT_FALSE(encoder->weights_file());
}

TEST(Encoder, BatchesChangeNothing) {
  const Tensor pixels = reference().get("x"), latents = reference().get("encode_latents");
  const auto together = reference_encoder(3), single = reference_encoder(1);
  EXPECT_TRUE(at::equal(together->encode_pixels(pixels), single->encode_pixels(pixels)));
  const Tensor decoded = together->decode(latents);
  EXPECT_TRUE(at::equal(decoded, single->decode(latents)));
  EXPECT_TRUE(at::equal(decoded.narrow(0, 1, 1), together->decode(latents.narrow(0, 1, 1))));
}

TEST(Encoder, AGeneratorGivesTheSameDrawEachTime) {
  const auto encoder = reference_encoder();
  const Tensor raw = reference().get("encode_pixels");
  const auto draw = [&](uint64_t seed) {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return encoder->encode_latents(raw, generator);
  };
  const Tensor first = draw(5);
  EXPECT_FALSE(at::equal(draw(6), first));
  EXPECT_TRUE(at::equal(draw(5), first));
  at::manual_seed(5);
  EXPECT_TRUE(at::equal(encoder->encode_latents(raw), first));
}

TEST(Encoder, TheVaeIsLoadedWhenItIsNeeded) {
  EncoderSetup setup;
  setup.vae = "no/such/folder";
  const auto encoder = make_encoder(encoder_for_dataset(8), setup);
  encoder->encode_latents(at::zeros({1, 8, 2, 2}));
  encoder->decode_preview(at::zeros({1, 4, 2, 2}));
  for (const auto& action : std::vector<std::function<void()>>{
           [&] {
             encoder->decode(at::zeros({1, 4, 2, 2}));
           },
           [&] {
             encoder->encode_pixels(at::zeros({1, 3, 16, 16}, at::kByte));
           },
           [&] { encoder->load(*make_progress(ProgressStyle::quiet)); }})
    EXPECT_EQ(test::error_of(action), "there is no VAE at 'no/such/folder'");
  EXPECT_FALSE(encoder->weights_file());

  const auto usable = reference_encoder();
  EXPECT_FALSE(usable->weights_file());
  usable->load(*make_progress(ProgressStyle::quiet));
  EXPECT_EQ(usable->weights_file(),
            test::data_dir() / "vae" / "diffusion_pytorch_model.safetensors");
}

TEST(Encoder, SidesMustBeMultiplesOfTheScale) {
  const auto encoder = reference_encoder();  // scale 2
  EXPECT_EQ(encoder->encode_pixels(at::zeros({1, 3, 4, 6}, at::kByte)).sizes(),
            (at::IntArrayRef{1, 8, 2, 3}));
  const std::string message = test::error_of([&] {
    encoder->encode_pixels(at::zeros({1, 3, 4, 7}, at::kByte));
  });
  EXPECT_NE(message.find("a picture of 7x4 pixels cannot be encoded"), std::string::npos)
      << message;
}

TEST(Encoder, AVaeOfOtherChannelsIsRefused) {
  const test::TempDir dir;
  AutoencoderOptions options = test::small_autoencoder_options();
  options.latent_channels = 16;
  test::write_autoencoder(dir.path(), test::small_autoencoder(options));
  EncoderSetup setup;
  setup.vae = dir.path();
  const auto encoder = make_encoder(encoder_for_dataset(8), setup);
  const std::string message = test::error_of([&] { encoder->decode(at::zeros({1, 4, 2, 2})); });
  EXPECT_NE(message.find("makes latents of 16 channels"), std::string::npos) << message;
  EXPECT_NE(message.find(dir.path().string()), std::string::npos) << message;
}

TEST(ChooseEncoder, TellsPixelsFromLatents) {
  using Kind = EncoderOptions::Kind;
  const auto automatic = [](int64_t channels, c10::ScalarType type) {
    return choose_encoder(EncoderChoice::automatic, channels, type).kind;
  };
  // The original's defaults.
  EXPECT_EQ(automatic(3, at::kByte), Kind::rgb);
  EXPECT_EQ(automatic(3, at::kFloat), Kind::rgb);
  EXPECT_EQ(automatic(8, at::kFloat), Kind::stability_vae);
  EXPECT_EQ(choose_encoder(EncoderChoice::automatic, 8, at::kFloat), encoder_for_dataset(8));
  // What the original refuses.
  for (const int64_t channels : {1, 2, 4}) EXPECT_EQ(automatic(channels, at::kByte), Kind::rgb);
  EXPECT_EQ(automatic(4, at::kFloat), Kind::stability_vae);
  for (const auto& [channels, type] : {std::pair{1, at::kFloat}, std::pair{5, at::kByte},
                                       std::pair{8, at::kByte}, std::pair{16, at::kFloat}}) {
    const std::string error = test::error_of([&, c = channels, t = type] { automatic(c, t); });
    EXPECT_NE(error.find("Unsupported channel count " + std::to_string(channels)),
              std::string::npos);
    EXPECT_NE(error.find("--encoder=none"), std::string::npos);
  }
  EXPECT_EQ(choose_encoder(EncoderChoice::none, 16, at::kFloat).kind, Kind::none);
  EXPECT_EQ(choose_encoder(EncoderChoice::rgb, 4, at::kFloat).kind, Kind::rgb);
  EXPECT_NE(test::error_of([] { choose_encoder(EncoderChoice::rgb, 5, at::kByte); }), "");
  EXPECT_NE(test::error_of([] { choose_encoder(EncoderChoice::vae, 4, at::kByte); }), "");
  EXPECT_NE(test::error_of([] { choose_encoder(EncoderChoice::vae, 6, at::kFloat); }), "");
  EXPECT_EQ(parse_encoder("vae"), EncoderChoice::vae);
  EXPECT_THROW(parse_encoder("VAE"), UsageError);
}

TEST(Encoder, MeansAloneAreLatentsWithoutADraw) {
  const auto encoder = make_encoder(encoder_for_dataset(8));
  const Tensor mean = at::randn({2, 4, 3, 3});
  const Tensor without = encoder->encode_latents(mean, [](const Tensor&) -> Tensor {
    ADD_FAILURE() << "nothing is drawn";
    return {};
  });
  const Tensor with = encoder->encode_latents(at::cat({mean, at::zeros_like(mean)}, 1));
  EXPECT_TRUE(without.equal(with));
}

TEST(Encoder, AnyNumberOfChannelsIsPixels) {
  const auto encoder = make_encoder(EncoderOptions{});
  for (const int64_t channels : {1, 2, 4}) {
    const Tensor pixels = at::randint(0, 256, {2, channels, 5, 5}, at::kByte);
    EXPECT_TRUE(encoder->decode(encoder->encode_latents(pixels)).equal(pixels));
  }
}

TEST(Encoder, NoneTakesNumbersAsTheyAre) {
  const auto encoder = make_encoder(choose_encoder(EncoderChoice::none, 6, at::kFloat));
  const Tensor numbers = at::randn({2, 6, 3, 3});
  EXPECT_TRUE(encoder->encode_latents(numbers).equal(numbers));
  EXPECT_EQ(encoder->decode_preview(numbers).size(1), 3);
  EXPECT_NE(test::error_of([&] { encoder->decode(numbers); }).find("--latents"), std::string::npos);
  EXPECT_NE(test::error_of([&] { encoder->load(*make_progress(ProgressStyle::quiet)); }), "");
}

}  // namespace edm2
