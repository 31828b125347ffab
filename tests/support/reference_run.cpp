#include "support/reference_run.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "support/paths.h"

namespace edm2::test {

std::filesystem::path reference_run(const std::string& run) {
  return reference_dir() / "training" / run;
}

TrainOptions reference_options(const std::string& run, const std::filesystem::path& outdir) {
  std::ifstream file(reference_run(run) / "training_options.json");
  const auto json = nlohmann::json::parse(file);
  TrainOptions o;
  o.outdir = outdir;
  const auto& data = json["dataset_kwargs"];
  o.data = reference_dir() / "training" / "digits16.zip";
  o.use_labels = data["use_labels"];
  o.xflip = data.value("xflip", false);
  if (data.contains("max_size")) o.max_size = data["max_size"].get<int64_t>();
  const auto& network = json["network_kwargs"];
  o.network.model_channels = network["model_channels"];
  o.network.channel_mult = network["channel_mult"].get<std::vector<int64_t>>();
  o.network.num_blocks = network["num_blocks"];
  o.network.attn_resolutions = network["attn_resolutions"].get<std::vector<int64_t>>();
  o.network.channels_per_head = network["channels_per_head"];
  o.network.logvar_channels = network["logvar_channels"];
  o.network.dropout = network["dropout"];
  o.P_mean = json["loss_kwargs"]["P_mean"];
  o.P_std = json["loss_kwargs"]["P_std"];
  o.learning_rate.ref_lr = json["lr_kwargs"]["ref_lr"];
  o.learning_rate.ref_batches = json["lr_kwargs"]["ref_batches"];
  o.total_nimg = json["total_nimg"];
  o.batch_size = json["batch_size"];
  const auto interval = [&](const char* key) {
    return json[key].is_null() ? std::nullopt : std::optional<int64_t>(json[key].get<int64_t>());
  };
  o.batch_gpu = interval("batch_gpu");
  o.loss_scaling = json["loss_scaling"];
  o.status_nimg = interval("status_nimg");
  o.snapshot_nimg = interval("snapshot_nimg");
  o.checkpoint_nimg = interval("checkpoint_nimg");
  o.seed = json["seed"];
  o.device = "cpu";
  return o;
}

}  // namespace edm2::test
