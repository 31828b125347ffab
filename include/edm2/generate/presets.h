/// Named choices of networks and guidance for generation.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace edm2 {

struct GeneratePreset {
  std::string name;
  std::string description;
  std::string net;                  ///< file name
  std::optional<std::string> gnet;  ///< file name of the guiding network
  double guidance = 1;
};

const std::vector<GeneratePreset>& generate_presets();

/// Throws Error, naming the known ones, if there is no such preset.
const GeneratePreset& find_generate_preset(const std::string& name);

/// The bundled model of that file name: in $EDM2_MODELS_DIR, in models/ of the source tree that the
/// program was built in, or in share/edm2/models beside its bin folder. Throws Error if it is in
/// none of them.
std::filesystem::path find_bundled_model(const std::string& file_name);

}  // namespace edm2
