#include "edm2/generate/presets.h"

#include <cstdlib>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"

namespace edm2 {
namespace fs = std::filesystem;

const std::vector<GeneratePreset>& generate_presets() {
  static const std::vector<GeneratePreset> presets = {
      {"demo", "emoji, 32x32, 9 classes, autoguidance (bundled)", "demo-emoji32.pkl",
       "demo-emoji32-guide.pkl", 1.7},
  };
  return presets;
}

const GeneratePreset& find_generate_preset(const std::string& name) {
  std::string known;
  for (const auto& preset : generate_presets()) {
    if (preset.name == name) return preset;
    known += (known.empty() ? "" : ", ") + preset.name;
  }
  throw Error("Invalid configuration preset \"" + name + "\"; known presets: " + known);
}

fs::path find_bundled_model(const std::string& file_name) {
  std::vector<fs::path> folders;
  if (const char* folder = std::getenv("EDM2_MODELS_DIR")) folders.emplace_back(folder);
  const fs::path program_folder = executable_path().parent_path();
  folders.push_back(program_folder.parent_path().parent_path() / "models");  // build/release/edm2
  folders.push_back(program_folder.parent_path() / "share" / "edm2" / "models");
  for (const auto& folder : folders)
    if (fs::exists(folder / file_name)) return folder / file_name;
  throw Error("the bundled model '" + file_name +
              "' is not installed; set EDM2_MODELS_DIR to the folder models/ of the source tree");
}

}  // namespace edm2
