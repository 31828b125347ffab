#include "edm2/nn/weights_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/nn/state_report.h"
#include "nn/network_fields.h"
#include "nn/snapshot_formats.h"
#include "nn/weights_names.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

// ---- Configuration

// Attention heads leave no trace in the tensors but that a block has some or none.
int64_t assumed_channels_per_head(const StateDict& tensors, int64_t usual) {
  constexpr std::string_view qkv = ".attn_qkv.weight", in0 = "_in0.conv_res0.weight";
  int64_t narrowest = int64_t{1} << 40, widest_without = 0;
  for (const auto& [name, tensor] : tensors) {
    if (name.ends_with(qkv) && tensor.dim() == 4) narrowest = std::min(narrowest, tensor.size(1));
    if (name.ends_with(in0) && tensor.dim() == 4) {  // has attention unless it is too narrow
      const std::string block = name.substr(0, name.rfind(".conv_res0"));
      if (!find_tensor(tensors, block + std::string(qkv)).defined())
        widest_without = std::max(widest_without, tensor.size(0));
    }
  }
  const int64_t lowest = std::max(usual, widest_without + 1);
  if (lowest > narrowest)
    throw Error("the tensors do not tell the number of attention heads, and " +
                std::to_string(lowest) + " channels a head are too many for a block of " +
                std::to_string(narrowest) +
                " channels; give channels_per_head with --config, or --like=SNAPSHOT");
  return lowest;
}

NetworkOptions network_for(const StateDict& tensors, const PartialConfig& config, Notes& notes) {
  const auto knows = [&](const std::string& name) { return config.known.contains(name); };
  NetworkOptions options = config.network;
  bool complete = true;
  std::string assumed;
  for_each_field(options, [&](const std::string& name, const auto&) {
    if (knows(name)) return;
    complete = false;
    if (!is_told_by_tensors(name)) assumed += (assumed.empty() ? "" : ", ") + name;
  });
  if (complete) return options;
  infer_structure(tensors, {}, options, knows("model_channels"));
  // What is known stays, so that tensors which contradict it are named.
  const auto keep = [&](const std::string& name, auto& member, const auto& value) {
    if (knows(name)) member = value;
  };
  for_each_field_of(keep, options, config.network);
  if (!knows("channels_per_head"))
    options.channels_per_head = assumed_channels_per_head(tensors, options.channels_per_head);
  if (!assumed.empty())
    notes.push_back("the tensors do not tell " + assumed +
                    ": the defaults are taken (--config or --like give others)");
  return options;
}

EncoderOptions assumed_encoder(int64_t img_channels, Notes& notes) {
  if (img_channels != 3 && img_channels != 4)
    throw Error("nothing tells the encoder of a network with " + std::to_string(img_channels) +
                " channels; give it with --config, or --like=SNAPSHOT");
  notes.push_back(std::string("the encoder is taken to be ") +
                  (img_channels == 3 ? "that for RGB pictures" : "the Stability VAE") +
                  ", because images have " + std::to_string(img_channels) + " channels");
  return img_channels == 3 ? EncoderOptions{} : stability_vae_options();
}

Snapshot assemble(const StateDict& tensors, const PartialConfig& config, Notes& notes) {
  Snapshot snapshot;
  snapshot.network = network_for(tensors, config, notes);
  snapshot.network.has_logvar = has_uncertainty_head(tensors);
  if (!snapshot.network.has_logvar)
    notes.emplace_back("there is no uncertainty head (logvar_*), which training alone needs");
  note_small_numbers(tensors, notes);
  snapshot.tensors = check_tensors(snapshot.network, tensors);
  snapshot.encoder =
      config.encoder ? *config.encoder : assumed_encoder(snapshot.network.img_channels, notes);
  snapshot.dataset = config.dataset;
  snapshot.loss = config.loss;
  snapshot.folded = config.folded;
  return snapshot;
}

// ---- Options that a checkpoint holds beside its tensors

struct RecordedOptions {
  std::string place;  // "net.kwargs"
  PickleValue dict;
};

const PickleValue* attributes(const PickleValue& value) {
  if (value.is_dict()) return &value;
  return value.is_object() && value.state().is_dict() ? &value.state() : nullptr;  // a Namespace
}

// Dicts with the names of several options, one of which says how large the network is.
void find_options(const PickleValue& value, const std::string& place, int depth,
                  std::vector<RecordedOptions>& found) {
  constexpr int deepest = 4;
  const PickleValue* dict = attributes(value);
  if (!dict || depth > deepest) return;
  const auto is_number = [&](const char* name) {
    const PickleValue* option = dict->find(name);
    return option && option->is_number();
  };
  if (is_number("model_channels") || (is_number("img_resolution") && is_number("img_channels"))) {
    found.push_back({place, *dict});
    return;
  }
  for (const auto& [key, child] : dict->items())
    if (key.is_string())
      find_options(child, place + (place.empty() ? "" : ".") + key.as_string(), depth + 1, found);
}

// The options beside the tensors of that prefix, if there are such: "net.kwargs" for
// "net.state_dict.".
void prefer_beside(const std::string& prefix, std::vector<RecordedOptions>& found) {
  const auto is_beside = [&](const RecordedOptions& options) {
    const size_t dot = options.place.rfind('.');
    return dot != std::string::npos && prefix.starts_with(options.place.substr(0, dot + 1));
  };
  if (std::any_of(found.begin(), found.end(), is_beside))
    std::erase_if(found, [&](const RecordedOptions& options) { return !is_beside(options); });
}

PartialConfig config_in(const PickleValue& root, const std::optional<std::string>& prefix,
                        Notes& notes) {
  std::vector<RecordedOptions> found;
  find_options(root, "", 0, found);
  if (prefix) prefer_beside(*prefix, found);
  PartialConfig config;
  for (const RecordedOptions& options : found) {
    PartialConfig other;
    try {
      other.known = read_network_options(options.dict, other.network);
    } catch (const Error& error) {
      throw Error("under '" + printable_name(options.place) + "': " + error.what());
    }
    if (!config.known.empty() && (other.known != config.known || other.network != config.network)) {
      notes.push_back("the options under '" + printable_name(found.front().place) + "' and '" +
                      printable_name(options.place) +
                      "' differ, so none are taken; --config or --like give them");
      return {};
    }
    config = std::move(other);
  }
  if (!found.empty())
    notes.push_back("the options are those under '" + printable_name(found.front().place) +
                    "' in the file");
  return config;
}

// ---- Training states

std::string std_text(double std) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", std);
  return text;
}

const PickleValue& choose_ema(const PickleValue& root, double std) {
  const PickleValue* ema = root.find("ema");
  if (!ema || !ema->is_dict()) throw Error("the training state holds no moving averages (--ema)");
  const std::vector<double> stds = ema->at("stds").as_doubles();
  const auto& copies = ema->at("emas").elements();
  if (copies.size() != stds.size()) throw Error("the moving averages do not have one width each");
  std::string widths;
  for (size_t i = 0; i < stds.size(); ++i) {
    if (std::abs(stds[i] - std) < 1e-6) return copies[i];
    widths += (i == 0 ? "" : ", ") + std_text(stds[i]);
  }
  throw Error("the training state holds no moving average of width " + std_text(std) +
              " (--ema), but " + (widths.empty() ? "none" : widths));
}

LossOptions loss_of_state(const PickleValue& loss) {
  return {loss.at("P_mean").as_double(), loss.at("P_std").as_double(),
          loss.at("sigma_data").as_double()};
}

Snapshot from_training_state(const fs::path& path, const PickleValue& root,
                             const WeightsOptions& options, Notes& notes) {
  if (options.prefix) throw Error("a training state needs no --prefix; --ema chooses its network");
  PartialConfig config;
  const fs::path run_config = path.parent_path() / "training_options.json";
  if (options.config) {
    config = *options.config;
  } else if (fs::exists(run_config)) {
    config = read_config_file(run_config);
    notes.push_back("the configuration is that of " + run_config.string());
  }
  const PickleValue* loss = root.find("loss_fn");
  if (loss && loss->is_dict()) config.loss = loss_of_state(*loss);
  if (!options.ema_std)
    notes.emplace_back("these are the weights being trained (--ema=STD takes a moving average)");
  const PickleValue& network =
      options.ema_std ? choose_ema(root, *options.ema_std) : root.at("net");
  return assemble(tidy_names(to_state_dict(network), std::nullopt, notes), config, notes);
}

Snapshot from_state_dict(const BareWeights& bare, const WeightsOptions& options, Notes& notes) {
  if (options.ema_std) throw Error("--ema is for training states; this file is a state dict");
  const StateDict tensors = tidy_names(tensors_of(bare, notes), options.prefix, notes);
  const PartialConfig config =
      options.config ? *options.config : config_in(bare.torch_root, options.prefix, notes);
  try {
    return assemble(tensors, config, notes);
  } catch (const StateMismatch& error) {
    throw StateMismatch(std::string(error.what()) +
                            " (--prefix chooses the tensors, --like or --config the options)",
                        error.report());
  }
}

void refuse_options(const WeightsOptions& options) {
  if (options.ema_std) throw Error("--ema is for training states; this file is a snapshot");
  if (options.prefix) throw Error("--prefix is for state dicts; this file is a snapshot");
  if (options.config)
    throw Error("this file has a configuration; --config and --like are for files without one");
}

// Others call a whole checkpoint of theirs "net".
bool is_own_training_state(const PickleValue& root) {
  if (!is_training_state(root) || !root.at("net").is_dict()) return false;
  const auto& items = root.at("net").items();
  return std::all_of(items.begin(), items.end(),
                     [](const auto& item) { return item.second.is_tensor(); });
}

}  // namespace

bool is_training_state(const PickleValue& root) {
  return root.is_dict() && root.find("net") && root.find("optimizer");
}

LoadedWeights complete_weights(FileContents file, const fs::path& path,
                               const WeightsOptions& options) {
  LoadedWeights result;
  result.format = file.format;
  if (auto* snapshot = std::get_if<Snapshot>(&file.contents)) {
    refuse_options(options);
    result.snapshot = std::move(*snapshot);
    result.notes = result.snapshot.notes;
    return result;
  }
  const auto& bare = std::get<BareWeights>(file.contents);
  result.snapshot = is_own_training_state(bare.torch_root)
                        ? from_training_state(path, bare.torch_root, options, result.notes)
                        : from_state_dict(bare, options, result.notes);
  check_snapshot(result.snapshot);
  return result;
}

LoadedWeights load_weights(const fs::path& path, const WeightsOptions& options) {
  return with_file_name(path, [&] {
    const MappedFile file(path);
    return complete_weights(read_network(file.bytes(), path.string()), path, options);
  });
}

}  // namespace edm2
