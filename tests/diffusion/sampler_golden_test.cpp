// The sampler against latents of the original.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "edm2/core/random.h"
#include "edm2/diffusion/sampler.h"
#include "edm2/nn/network.h"
#include "support/golden.h"

namespace edm2 {
namespace {

/// Passes calls on and notes the noise levels.
class RecordingDenoiser : public Denoiser {
 public:
  explicit RecordingDenoiser(Denoiser& inner) : inner_(inner) {}
  Tensor denoise(const Tensor& x, const Tensor& sigma, const Tensor& labels) override {
    const Tensor result = inner_.denoise(x, sigma, labels);
    levels.push_back(sigma.item<float>());
    inputs.push_back(x.narrow(0, 0, 1));
    outputs.push_back(result.narrow(0, 0, 1));
    return result;
  }
  int64_t img_channels() const override { return inner_.img_channels(); }
  int64_t img_resolution() const override { return inner_.img_resolution(); }
  int64_t label_dim() const override { return inner_.label_dim(); }
  c10::Device device() const override { return inner_.device(); }

  std::vector<float> levels;
  std::vector<Tensor> inputs, outputs;

 private:
  Denoiser& inner_;
};

}  // namespace

TEST(SamplerGolden, EveryCase) {
  EDM2_REQUIRE_REFERENCE();
  const auto folder = test::reference_dir();
  const NpzFile expected(folder / "sampler" / "edm_sampler.npz");
  std::ifstream file(folder / "sampler" / "edm_sampler.json");
  const auto cases = nlohmann::json::parse(file);
  std::map<std::string, std::unique_ptr<Precond>> networks;
  const auto network = [&](const std::string& name) -> Precond& {
    auto& entry = networks[name];
    if (!entry)
      entry = std::make_unique<Precond>(load_snapshot(folder / "denoiser" / (name + ".pkl")));
    return *entry;
  };
  for (const auto& [name, arguments] : cases.items()) {
    SCOPED_TRACE(name);
    RecordingDenoiser net(network(arguments["net"]));
    Denoiser& gnet =
        arguments["gnet"].is_null() ? static_cast<Denoiser&>(net) : network(arguments["gnet"]);
    SamplerOptions options;
    options.num_steps = arguments.value("num_steps", options.num_steps);
    options.guidance = arguments.value("guidance", options.guidance);
    options.sigma_min = arguments.value("sigma_min", options.sigma_min);
    options.sigma_max = arguments.value("sigma_max", options.sigma_max);
    options.rho = arguments.value("rho", options.rho);
    options.S_churn = arguments.value("S_churn", options.S_churn);
    options.S_min = arguments.value("S_min", options.S_min);
    options.S_max = arguments.value("S_max", options.S_max);
    options.S_noise = arguments.value("S_noise", options.S_noise);

    const auto seeds = arguments["seeds"].get<std::vector<int64_t>>();
    StackedGenerator random(at::kCPU, seeds);
    const int64_t r = net.img_resolution();
    const Tensor noise = random.randn({net.img_channels(), r, r});
    EXPECT_LE(test::max_difference(noise, expected.get(name + ".noise")), 1e-6);
    Tensor labels;
    if (!arguments["labels"].is_null()) {
      const Tensor index = random.randint(net.label_dim());
      EXPECT_TRUE(index.equal(expected.get(name + ".class")));
      labels = at::one_hot(index, net.label_dim()).to(at::kFloat);
    }
    const Tensor latents = edm_sampler(net, gnet, noise, labels, options,
                                       [&](const Tensor& x) { return random.randn_like(x); });
    const double amplification = expected.get(name + ".amplification").item<double>();
    EXPECT_LE(test::max_difference(latents, expected.get(name + ".latents")),
              1e-4 * std::max(1.0, amplification / 5));
    EXPECT_LE(test::relative_error(at::tensor(net.levels), expected.get(name + ".t_evaluated")),
              1e-6);
    if (expected.contains(name + ".traj_x")) {
      EXPECT_LE(test::relative_error(at::stack(net.inputs), expected.get(name + ".traj_x")), 1e-5);
      EXPECT_LE(test::relative_error(at::stack(net.outputs), expected.get(name + ".traj_D")), 1e-4);
    }
  }
}

}  // namespace edm2
