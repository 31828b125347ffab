/// Named choices of networks and guidance for generation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "edm2/nn/network_options.h"

namespace edm2 {

/// What a preset was chosen for: the measure, and its value in the papers.
struct PublishedScore {
  std::string metric;  ///< "fid" or "fd_dinov2"
  double value = 0;
};

/// A network, its guide and its guidance by one name.
struct GeneratePreset {
  std::string name;
  std::string net;                  ///< source text for load_network_source()
  std::optional<std::string> gnet;  ///< that of the guiding network
  double guidance = 1;
  std::optional<PublishedScore> score = {};
};

/// The bundled `demo`, and the original's presets with the networks of its authors and the scores
/// that they state for them (arXiv 2312.02696 and 2406.02507).
const std::vector<GeneratePreset>& generate_presets();

/// Throws Error if there is no such preset.
const GeneratePreset& find_generate_preset(std::string_view name);

/// What the name of one of the authors' networks says, such as
/// "https://.../edm2-img512-xs-uncond-2147483-0.045.pkl".
struct PublishedNetwork {
  std::string size;        ///< "XS" to "XXL"
  NetworkOptions options;  ///< without what does not change the number of parameters
};
/// None for other networks.
std::optional<PublishedNetwork> describe_published_network(const std::string& source);

/// The addresses of all networks that presets name, without duplicates.
std::vector<std::string> published_addresses();

/// Trainable numbers in a network with these options.
int64_t count_parameters(const NetworkOptions& options);

/// The bundled model of that file name: in $EDM2_MODELS_DIR, in models/ of the source tree that the
/// program was built in, or in share/edm2/models beside its bin folder. Throws Error if it is in
/// none of them.
std::filesystem::path find_bundled_model(const std::string& file_name);

}  // namespace edm2
