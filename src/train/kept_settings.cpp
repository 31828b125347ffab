#include "train/kept_settings.h"

#include <algorithm>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/source.h"
#include "train/checkpoints.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

std::string setting_text(double value) { return format_number("%.10g", value); }

std::string widths_text(const std::vector<double>& stds) {
  std::string text;
  for (const double std : stds) text += (text.empty() ? "" : ",") + setting_text(std);
  return text;
}

}  // namespace

nlohmann::json read_run_config(const fs::path& folder) {
  const fs::path file = folder / "training_options.json";
  if (!fs::is_regular_file(file)) return nullptr;
  auto config = nlohmann::json::parse(read_text_file(file), nullptr, /*allow_exceptions=*/false);
  return config.is_object() ? config : nlohmann::json();
}

std::vector<std::string> keep_settings(TrainOptions& options, const LossOptions& loss,
                                       const std::vector<double>& stds,
                                       const nlohmann::json& earlier) {
  std::vector<std::string> unused;
  const auto keep = [&](const char* option, const std::string& kept, const std::string& given) {
    if (kept != given)
      unused.push_back(std::string(option) + " stays " + kept + " (" + given + " is not used)");
  };
  keep("--stds", widths_text(stds), widths_text(options.stds));
  keep("--P_mean", setting_text(loss.P_mean), setting_text(options.P_mean));
  keep("--P_std", setting_text(loss.P_std), setting_text(options.P_std));
  options.stds = stds;
  options.P_mean = loss.P_mean;
  options.P_std = loss.P_std;

  const std::string init = options.init_from.shown();
  const auto begun_from = earlier.is_object() ? earlier.find("init_from") : earlier.end();
  if (!init.empty() && (begun_from == earlier.end() || *begun_from != init))
    unused.push_back("--init-from=" + init + " is not read");

  std::vector<double> absent;
  for (const double std : options.samples.stds)
    if (std::find(stds.begin(), stds.end(), std) == stds.end()) absent.push_back(std);
  if (!absent.empty()) unused.push_back("no samples are drawn of " + widths_text(absent));
  return unused;
}

nlohmann::ordered_json with_kept_settings(nlohmann::ordered_json config, const fs::path& folder) {
  if (training_states(folder).empty()) return config;
  const nlohmann::json earlier = read_run_config(folder);
  if (earlier.is_null()) return config;
  for (const char* key : {"loss_kwargs", "ema_kwargs", "init_from"}) {
    if (const auto kept = earlier.find(key); kept != earlier.end())
      config[key] = *kept;
    else
      config.erase(key);
  }
  return config;
}

}  // namespace edm2
