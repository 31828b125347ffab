#include "edm2/generate/presets.h"

#include <cstdlib>
#include <set>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/source.h"
#include "edm2/nn/state_layout.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr const char* published_folder =
    "https://nvlabs-fi-cdn.nvidia.com/edm2/posthoc-reconstructions/";
constexpr const char* fid = "fid";
constexpr const char* fd_dinov2 = "fd_dinov2";

/// Networks are named without the "edm2-" before and the ".pkl" behind: data, size, perhaps
/// "uncond", thousands of training images, EMA length.
struct PublishedRow {
  const char *name, *net, *gnet;  // gnet "" = no guidance
  double guidance;
  const char* metric;
  double score;
};

// clang-format off
constexpr PublishedRow published[] = {
    {"edm2-img512-xs-fid", "img512-xs-2147483-0.135", "", 1, fid, 3.53},
    {"edm2-img512-xs-dino", "img512-xs-2147483-0.200", "", 1, fd_dinov2, 103.39},
    {"edm2-img512-s-fid", "img512-s-2147483-0.130", "", 1, fid, 2.56},
    {"edm2-img512-s-dino", "img512-s-2147483-0.190", "", 1, fd_dinov2, 68.64},
    {"edm2-img512-m-fid", "img512-m-2147483-0.100", "", 1, fid, 2.25},
    {"edm2-img512-m-dino", "img512-m-2147483-0.155", "", 1, fd_dinov2, 58.44},
    {"edm2-img512-l-fid", "img512-l-1879048-0.085", "", 1, fid, 2.06},
    {"edm2-img512-l-dino", "img512-l-1879048-0.155", "", 1, fd_dinov2, 52.25},
    {"edm2-img512-xl-fid", "img512-xl-1342177-0.085", "", 1, fid, 1.96},
    {"edm2-img512-xl-dino", "img512-xl-1342177-0.155", "", 1, fd_dinov2, 45.96},
    {"edm2-img512-xxl-fid", "img512-xxl-0939524-0.070", "", 1, fid, 1.91},
    {"edm2-img512-xxl-dino", "img512-xxl-0939524-0.150", "", 1, fd_dinov2, 42.84},
    {"edm2-img64-s-fid", "img64-s-1073741-0.075", "", 1, fid, 1.58},
    {"edm2-img64-m-fid", "img64-m-2147483-0.060", "", 1, fid, 1.43},
    {"edm2-img64-l-fid", "img64-l-1073741-0.040", "", 1, fid, 1.33},
    {"edm2-img64-xl-fid", "img64-xl-0671088-0.040", "", 1, fid, 1.33},
    {"edm2-img512-xs-guid-fid", "img512-xs-2147483-0.045", "img512-xs-uncond-2147483-0.045", 1.40, fid, 2.91},
    {"edm2-img512-xs-guid-dino", "img512-xs-2147483-0.150", "img512-xs-uncond-2147483-0.150", 1.70, fd_dinov2, 79.94},
    {"edm2-img512-s-guid-fid", "img512-s-2147483-0.025", "img512-xs-uncond-2147483-0.025", 1.40, fid, 2.23},
    {"edm2-img512-s-guid-dino", "img512-s-2147483-0.085", "img512-xs-uncond-2147483-0.085", 1.90, fd_dinov2, 52.32},
    {"edm2-img512-m-guid-fid", "img512-m-2147483-0.030", "img512-xs-uncond-2147483-0.030", 1.20, fid, 2.01},
    {"edm2-img512-m-guid-dino", "img512-m-2147483-0.015", "img512-xs-uncond-2147483-0.015", 2.00, fd_dinov2, 41.98},
    {"edm2-img512-l-guid-fid", "img512-l-1879048-0.015", "img512-xs-uncond-2147483-0.015", 1.20, fid, 1.88},
    {"edm2-img512-l-guid-dino", "img512-l-1879048-0.035", "img512-xs-uncond-2147483-0.035", 1.70, fd_dinov2, 38.20},
    {"edm2-img512-xl-guid-fid", "img512-xl-1342177-0.020", "img512-xs-uncond-2147483-0.020", 1.20, fid, 1.85},
    {"edm2-img512-xl-guid-dino", "img512-xl-1342177-0.030", "img512-xs-uncond-2147483-0.030", 1.70, fd_dinov2, 35.67},
    {"edm2-img512-xxl-guid-fid", "img512-xxl-0939524-0.015", "img512-xs-uncond-2147483-0.015", 1.20, fid, 1.81},
    {"edm2-img512-xxl-guid-dino", "img512-xxl-0939524-0.015", "img512-xs-uncond-2147483-0.015", 1.70, fd_dinov2, 33.09},
    {"edm2-img512-s-autog-fid", "img512-s-2147483-0.070", "img512-xs-0134217-0.125", 2.10, fid, 1.34},
    {"edm2-img512-s-autog-dino", "img512-s-2147483-0.120", "img512-xs-0134217-0.165", 2.45, fd_dinov2, 36.67},
    {"edm2-img512-xxl-autog-fid", "img512-xxl-0939524-0.075", "img512-m-0268435-0.155", 2.05, fid, 1.25},
    {"edm2-img512-xxl-autog-dino", "img512-xxl-0939524-0.130", "img512-m-0268435-0.205", 2.30, fd_dinov2, 24.18},
    {"edm2-img512-s-uncond-autog-fid", "img512-s-uncond-2147483-0.070", "img512-xs-uncond-0134217-0.110", 2.85, fid, 3.86},
    {"edm2-img512-s-uncond-autog-dino", "img512-s-uncond-2147483-0.090", "img512-xs-uncond-0134217-0.125", 2.90, fd_dinov2, 90.39},
    {"edm2-img64-s-autog-fid", "img64-s-1073741-0.045", "img64-xs-0134217-0.110", 1.70, fid, 1.01},
    {"edm2-img64-s-autog-dino", "img64-s-1073741-0.105", "img64-xs-0134217-0.175", 2.20, fd_dinov2, 31.85},
};
// clang-format on

std::string published_url(const std::string& name) {
  return published_folder + ("edm2-" + name + ".pkl");
}

std::vector<GeneratePreset> make_presets() {
  std::vector<GeneratePreset> presets = {
      {"demo", "bundled:demo-emoji32.pkl", "bundled:demo-emoji32-guide.pkl", 1.7}};
  for (const PublishedRow& row : published) {
    GeneratePreset preset{row.name, published_url(row.net), std::nullopt, row.guidance,
                          PublishedScore{row.metric, row.score}};
    if (*row.gnet != '\0') preset.gnet = published_url(row.gnet);
    presets.push_back(std::move(preset));
  }
  return presets;
}

struct PublishedSize {
  const char *key, *name;
  int64_t channels;
};
constexpr PublishedSize published_sizes[] = {{"xs", "XS", 128}, {"s", "S", 192},
                                             {"m", "M", 256},   {"l", "L", 320},
                                             {"xl", "XL", 384}, {"xxl", "XXL", 448}};

}  // namespace

const std::vector<GeneratePreset>& generate_presets() {
  static const std::vector<GeneratePreset> presets = make_presets();
  return presets;
}

const GeneratePreset& find_generate_preset(std::string_view name) {
  for (const auto& preset : generate_presets())
    if (preset.name == name) return preset;
  throw Error("Invalid configuration preset \"" + std::string(name) +
              "\"; 'edm2 presets' lists the known ones");
}

std::optional<PublishedNetwork> describe_published_network(const std::string& source) {
  const std::string begin = published_folder + std::string("edm2-img");
  if (!source.starts_with(begin)) return std::nullopt;
  const std::string name = source.substr(begin.size());
  for (const PublishedSize& size : published_sizes)
    for (const char* data : {"512", "64"}) {
      const std::string front = std::string(data) + "-" + size.key + "-";
      if (!name.starts_with(front)) continue;
      PublishedNetwork network{size.name, {}};
      const bool latents = std::string(data) == "512";  // 64x64 latents of 512x512 pictures
      network.options.img_resolution = 64;
      network.options.img_channels = latents ? 4 : 3;
      network.options.label_dim = name.substr(front.size()).starts_with("uncond-") ? 0 : 1000;
      network.options.model_channels = size.channels;
      return network;
    }
  return std::nullopt;
}

std::vector<std::string> published_addresses() {
  std::set<std::string> addresses;
  for (const GeneratePreset& preset : generate_presets())
    for (const std::string& source : {preset.net, preset.gnet.value_or("")})
      if (is_web_address(source)) addresses.insert(source);
  return {addresses.begin(), addresses.end()};
}

int64_t count_parameters(const NetworkOptions& options) {
  int64_t total = 0;
  for (const StateEntry& entry : state_layout(options)) {
    int64_t count = entry.is_buffer ? 0 : 1;
    for (const int64_t size : entry.shape) count *= size;
    total += count;
  }
  return total;
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
