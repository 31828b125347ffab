/// Options of commands that draw pictures: networks, guidance, sampler.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "edm2/generate/generate.h"

namespace CLI {
class App;
}

namespace edm2::cli {

class CommandContext;

struct SamplingArguments {
  std::optional<std::string> preset, net, gnet;
  std::optional<double> guidance;
  std::string vae;
  std::optional<int64_t> class_idx;
  std::optional<std::vector<double>> label_vector;
  std::optional<std::string> labels;
  int64_t max_batch_size = 32;
  SamplerOptions sampler;
  EngineKind engine = EngineKind::automatic;
  bool fast = false;
};

/// --preset, --net, --gnet, --vae.
void add_network_options(CLI::App& command, SamplingArguments& a);
/// --class, --batch, --label-vector and --labels.
void add_batch_options(CLI::App& command, SamplingArguments& a);
/// --solver, --steps, --guidance and so on.
void add_sampler_options(CLI::App& command, SamplingArguments& a);

/// Fills networks, sampler, device and precision into `options`. A preset fills what is not given;
/// guidance 1 switches the guiding network off. Throws Error if there is no network.
void apply(const SamplingArguments& a, const CommandContext& context, GenerateOptions& options);

}  // namespace edm2::cli
