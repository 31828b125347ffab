#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "train/objective.h"

namespace edm2 {
namespace {

struct Preset {
  const char* name;
  int64_t mebi_images;
  int64_t channels;
  double lr, dropout;
};

constexpr std::array<Preset, 12> presets = {{
    {"edm2-img512-xxs", 2048, 64, 0.0170, 0.00},
    {"edm2-img512-xs", 2048, 128, 0.0120, 0.00},
    {"edm2-img512-s", 2048, 192, 0.0100, 0.00},
    {"edm2-img512-m", 2048, 256, 0.0090, 0.10},
    {"edm2-img512-l", 1792, 320, 0.0080, 0.10},
    {"edm2-img512-xl", 1280, 384, 0.0070, 0.10},
    {"edm2-img512-xxl", 896, 448, 0.0065, 0.10},
    {"edm2-img64-xs", 1024, 128, 0.0120, 0.00},
    {"edm2-img64-s", 1024, 192, 0.0100, 0.00},
    {"edm2-img64-m", 2048, 256, 0.0090, 0.10},
    {"edm2-img64-l", 1024, 320, 0.0080, 0.10},
    {"edm2-img64-xl", 640, 384, 0.0070, 0.10},
}};

/// Denoising with learned uncertainty (arXiv 2312.02696, Eq. 21), and its authors' presets. Draws
/// noise levels, noise, dropout.
class DenoisingObjective : public Objective {
 public:
  LossTerms loss(Precond& network, const LossOptions& settings, const RoundInput& input,
                 const RoundDraws& draws) const override {
    return edm2_loss(network, input.images, input.labels, settings, draws.normal);
  }

  LossOptions settings(const TrainOptions& options) const override {
    return {options.P_mean, options.P_std, options.network.sigma_data};
  }

  nlohmann::ordered_json config(const TrainOptions& options) const override {
    return {{"class_name", "training.training_loop.EDM2Loss"},
            {"P_mean", options.P_mean},
            {"P_std", options.P_std}};
  }

  std::vector<std::string> preset_names() const override {
    std::vector<std::string> names;
    for (const auto& preset : presets) names.emplace_back(preset.name);
    return names;
  }

  void apply_preset(TrainOptions& options, const std::string& name) const override {
    const auto& preset = *std::find_if(presets.begin(), presets.end(),
                                       [&](const Preset& entry) { return name == entry.name; });
    const bool latents = name.find("img512") != std::string::npos;
    options.total_nimg = preset.mebi_images << 20;
    options.batch_size = 2048;
    options.network.model_channels = preset.channels;
    options.network.dropout = preset.dropout;
    options.learning_rate.ref_lr = preset.lr;
    options.learning_rate.ref_batches = latents ? 70000 : 35000;
    options.learning_rate.ref_batches_is_integer = true;
    options.P_mean = latents ? -0.4 : -0.8;
    options.P_std = latents ? 1.0 : 1.6;
  }
};

}  // namespace

std::unique_ptr<Objective> make_objective(const TrainOptions&) {
  return std::make_unique<DenoisingObjective>();
}

}  // namespace edm2
