#include "train/run_files.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "train/kept_settings.h"
#include "train/stats_file.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr const char* config_name = "training_options.json";
constexpr const char* stats_name = "stats.jsonl";

/// Options by the place of their value in training_options.json.
constexpr std::pair<const char*, const char*> option_of_setting[] = {
    {"/dataset_kwargs/path", "--data"},
    {"/dataset_kwargs/use_labels", "--cond"},
    {"/dataset_kwargs/xflip", "--xflip"},
    {"/dataset_kwargs/max_size", "--max-size"},
    {"/encoder_kwargs/class_name", "--encoder"},
    {"/total_nimg", "--duration"},
    {"/batch_size", "--batch"},
    {"/network_kwargs/model_channels", "--channels"},
    {"/network_kwargs/use_fp16", "--fp16"},
    {"/network_kwargs", "--"},  // --channel-mult for channel_mult and so on
    {"/loss_kwargs", "--"},
    {"/lr_kwargs/ref_lr", "--lr"},
    {"/lr_kwargs/ref_batches", "--decay"},
    {"/lr_kwargs/rampup_Mimg", "--rampup (in millions)"},
    {"/loss_scaling", "--ls"},
    {"/cudnn_benchmark", "--bench"},
    {"/status_nimg", "--status"},
    {"/snapshot_nimg", "--snapshot"},
    {"/checkpoint_nimg", "--checkpoint"},
    {"/ema_kwargs/stds", "--stds"},
    {"", "--"},
};

/// The setting that a place in the file is part of, and its option.
std::pair<std::string, std::string> setting_at(std::string place) {
  if (place == "/ema_kwargs") place += "/stds";  // all that an option says of it
  for (const auto& [setting, option] : option_of_setting) {
    if (place != setting && !place.starts_with(setting + std::string("/"))) continue;
    if (option != std::string("--")) return {setting, option};
    const size_t begin = std::strlen(setting) + 1;
    std::string name = place.substr(begin, place.find('/', begin) - begin);
    const std::string whole = place.substr(0, begin + name.size());
    if (!name.starts_with("P_")) std::replace(name.begin(), name.end(), '_', '-');
    return {whole, "--" + name};
  }
  return {place, place};
}

std::string value_at(const nlohmann::json& settings, const std::string& place) {
  const nlohmann::json::json_pointer pointer(place);
  if (!settings.contains(pointer)) return "not given";
  return settings.at(pointer).is_null() ? "off" : settings.at(pointer).dump();
}

/// Says which settings of an earlier start of this run are now others.
void report_changed_settings(const nlohmann::json& before, const nlohmann::json& now, RunLog& log) {
  std::set<std::string> told;
  for (const auto& change : nlohmann::json::diff(before, now)) {
    const auto [setting, option] = setting_at(change["path"].get<std::string>());
    if (told.insert(setting).second)
      log.line("Note: " + option + " is now " + value_at(now, setting) +
               ", at the start of this run it was " + value_at(before, setting));
  }
}

}  // namespace

RunFiles::RunFiles(const TrainOptions& options, std::shared_ptr<Progress> progress)
    : log(progress), options_(options), progress_(std::move(progress)), folder_(options.outdir) {}

void RunFiles::open() {
  const bool existed = fs::exists(folder_.path());
  folder_.open();
  if (!existed) progress_->message("Creating output directory...");
  log.open(folder_.path() / "log.txt");
}

void RunFiles::note_settings(const nlohmann::ordered_json& config) {
  if (!fs::exists(folder_.path() / config_name)) {
    folder_.publish(config_name, [&](const fs::path& path) { write_file(path, config.dump(2)); });
    return;
  }
  nlohmann::json before = read_run_config(folder_.path()), now = config;
  if (before.is_null()) return;
  if (!newest_state_.empty()) {  // it does not start from another network any more
    before.erase("init_from");
    now.erase("init_from");
  }
  report_changed_settings(before, now, log);
}

std::optional<WholeState> RunFiles::newest_state() {
  auto state = newest_whole_state(folder_, [&](const std::string& text) { log.line(text); });
  if (state) newest_state_ = state->path.filename().string();
  return state;
}

void RunFiles::begin(int64_t cur_nimg) {
  const fs::path path = folder_.path() / stats_name;
  if (const int64_t dropped = rewind_stats(path, cur_nimg); dropped > 0)
    log.line("Taking " + std::to_string(dropped) + (dropped == 1 ? " line" : " lines") +
             " out of " + path.string() + " that this run writes again");
  stats_.open(path);
}

void RunFiles::failed(const std::string& what) {
  if (options_.on_save_error == SaveErrors::stop) throw Error(what);
  log.line("Warning: " + what);
}

void RunFiles::add_stats(const std::string& line) {
  if (!stats_.append(line)) failed(stats_.error() + "; the line is tried again with the next one");
}

std::string RunFiles::try_to_publish(const std::string& name, const FileWriter& write) {
  try {
    folder_.publish(name, write);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void RunFiles::save(const std::string& name, const std::string& shown, const FileWriter& write) {
  const std::string error = try_to_publish(name, write);
  if (error.empty())
    log.line("Saving " + shown + " ... done");
  else
    failed(error + "; " + name + " is left out");
}

std::string RunFiles::save_state(const std::string& name, const FileWriter& write) {
  stats_.sync();  // so that no state comes without its statistics; errors show with the next line
  std::string error = try_to_publish(name, write);
  if (!error.empty()) {
    error += newest_state_.empty() ? "; there is no training state yet"
                                   : "; the last good training state is " + newest_state_;
    failed(error);
    return error;
  }
  newest_state_ = name;
  log.line("Saving " + (folder_.path() / name).string() + " ... done");
  if (options_.keep_checkpoints) remove_old(name);
  return "";
}

void RunFiles::remove_old(const std::string& newest) {
  try {
    check_state(folder_, newest);
    remove_old_states(folder_, newest, *options_.keep_checkpoints);
  } catch (const Error& error) {
    failed(std::string(error.what()) + "; older training states are kept");
  }
}

}  // namespace edm2
