/// What a user says of pictures that are to be drawn, by a command line, a JSON request or
/// keywords.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "edm2/core/option_table.h"
#include "edm2/generate/generate.h"

namespace edm2 {

/// Networks, labels and sampler as they are given: what is not given comes from the preset. Fields
/// are those of GenerateOptions and SamplerOptions.
struct SamplingRequest {
  std::optional<std::string> preset;  ///< name of a GeneratePreset
  std::optional<std::string> net, gnet;
  std::string vae;
  std::vector<int64_t> seeds = {16, 17, 18, 19};
  std::optional<int64_t> class_idx;
  int64_t max_batch_size = 32;
  std::optional<std::vector<double>> label_vector;
  std::optional<std::string> labels;
  std::optional<double>
      guidance;  ///< instead of `sampler.guidance`; none: that of the preset, or 1
  SamplerOptions sampler;
  EngineKind engine = EngineKind::automatic;
  bool fast = false;  ///< instead of `engine`: EngineKind::fast
};

/// "preset", "net", "gnet" and "vae".
const OptionTable<SamplingRequest>& network_options();
/// "class", "batch", "label-vector" and "labels".
const OptionTable<SamplingRequest>& label_options();
/// "solver", "steps", "guidance" and so on, and "engine".
const OptionTable<SamplingRequest>& solver_options();
/// All of them, and "seeds".
const OptionTable<SamplingRequest>& sampling_options();

/// "class", of any struct with a member `class_idx`.
template <class Struct>
Option<Struct> class_option() {
  return integer_option("class", &Struct::class_idx, at_least(int64_t{0}), "Class of all pictures",
                        "random");
}
/// "batch", of any struct with a member `max_batch_size`.
template <class Struct>
Option<Struct> batch_option() {
  return integer_option("batch", &Struct::max_batch_size, at_least(int64_t{1}),
                        "Pictures sampled together");
}

/// Fills networks, labels, sampler and engine into `options`, but no seeds. A preset fills what is
/// not given; guidance 1 switches its guiding network off. Throws Error if there is no network or
/// no such preset.
void apply(const SamplingRequest& request, GenerateOptions& options);

}  // namespace edm2
