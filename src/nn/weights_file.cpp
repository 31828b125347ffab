#include "edm2/nn/weights_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "nn/network_fields.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

using Notes = std::vector<std::string>;

std::string quoted_list(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i)
    text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + ("'" + words[i] + "'");
  return text;
}

// ---- Names

struct NamedTensors {
  StateDict tensors;
  size_t others = 0;  // entries that are no tensors
};

// {"ema": {"unet.out_gain": x}} -> "ema.unet.out_gain".
void flatten(const PickleValue& dict, const std::string& prefix, int depth, NamedTensors& out) {
  constexpr int deepest = 4;
  for (const auto& [key, value] : dict.items()) {
    if (!key.is_string() || (value.is_dict() && depth >= deepest)) {
      ++out.others;
      continue;
    }
    const std::string name = prefix + key.as_string();
    if (value.is_tensor())
      out.tensors.emplace_back(name, value.as_tensor());
    else if (value.is_dict())
      flatten(value, name + '.', depth + 1, out);
    else
      ++out.others;
  }
}

StateDict tensors_of(BareWeights bare, Notes& notes) {
  if (!bare.tensors.empty()) return std::move(bare.tensors);
  if (!bare.torch_root.is_dict())
    throw Error("the file holds " + bare.torch_root.kind_name() + " instead of a state dict");
  NamedTensors found;
  flatten(bare.torch_root, "", 0, found);
  if (found.tensors.empty()) throw Error("the file holds no tensors by name");
  if (found.others > 0)
    notes.push_back("left out " + std::to_string(found.others) + " entries that are no tensors");
  return std::move(found.tensors);
}

// torch.compile() puts its own name in front of every module that it wraps.
void drop_compiler_names(StateDict& tensors, Notes& notes) {
  constexpr std::string_view wrapper = "_orig_mod.";
  bool any = false;
  for (auto& [name, tensor] : tensors)
    for (size_t at = name.find(wrapper); at != std::string::npos; at = name.find(wrapper, at)) {
      if (at > 0 && name[at - 1] != '.') {
        at += wrapper.size();
        continue;
      }
      name.erase(at, wrapper.size());
      any = true;
    }
  if (any) notes.emplace_back("took '_orig_mod.' out of the names");
}

// What stands in front of the names of the networks in the file, each with the number of
// well-known names behind it.
std::map<std::string, int> find_prefixes(const StateDict& tensors) {
  std::map<std::string, int> counts;
  for (const auto& [name, tensor] : tensors)
    for (const std::string_view anchor :
         {"unet.out_gain", "unet.emb_noise.weight", "unet.emb_fourier.freqs",
          "unet.out_conv.weight", "logvar_linear.weight", "logvar_fourier.freqs"})
      if (name.ends_with(anchor)) {
        const std::string prefix = name.substr(0, name.size() - anchor.size());
        if (prefix.empty() || prefix.ends_with('.')) ++counts[prefix];
      }
  return counts;
}

StateDict without_prefix(const StateDict& tensors, const std::string& prefix) {
  StateDict result;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(prefix)) result.emplace_back(name.substr(prefix.size()), tensor);
  return result;
}

StateDict with_chosen_prefix(const StateDict& tensors, std::string prefix, Notes& notes) {
  if (!prefix.empty() && !prefix.ends_with('.')) prefix += '.';
  StateDict chosen = without_prefix(tensors, prefix);
  if (chosen.empty()) throw Error("no tensor's name begins with '" + prefix + "'");
  if (chosen.size() < tensors.size())
    notes.push_back("left out " + std::to_string(tensors.size() - chosen.size()) +
                    " tensors whose names do not begin with '" + prefix + "'");
  return chosen;
}

StateDict with_found_prefix(StateDict tensors, Notes& notes) {
  const auto counts = find_prefixes(tensors);
  std::vector<std::string> best;
  int most = 0;
  for (const auto& [prefix, count] : counts) {
    if (count > most) best.clear();
    most = std::max(most, count);
    if (count == most) best.push_back(prefix);
  }
  if (best.empty() || best.front().empty()) {
    // The network that needs no prefix; further ones have theirs.
    const size_t before = tensors.size();
    std::erase_if(tensors, [&](const auto& entry) {
      return std::any_of(best.begin(), best.end(), [&](const std::string& prefix) {
        return !prefix.empty() && entry.first.starts_with(prefix);
      });
    });
    if (tensors.size() < before)
      notes.push_back("left out " + std::to_string(before - tensors.size()) +
                      " tensors of further networks in the file");
    return tensors;
  }
  if (best.size() > 1)
    throw Error("the file holds several networks: choose one of the prefixes " + quoted_list(best) +
                " with --prefix");
  notes.push_back("took '" + best.front() + "' off the names");
  StateDict result;
  for (auto& [name, tensor] : tensors)
    result.emplace_back(
        name.starts_with(best.front()) ? name.substr(best.front().size()) : std::move(name),
        tensor);
  return result;
}

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
  const auto keep = [&](const std::string& name, auto& member) {
    for_each_field(config.network, [&](const std::string& other, const auto& value) {
      if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::decay_t<decltype(member)>>)
        if (name == other && knows(name)) member = value;
    });
  };
  for_each_field(options, keep);
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
  snapshot.tensors = check_tensors(snapshot.network, tensors);
  snapshot.encoder =
      config.encoder ? *config.encoder : assumed_encoder(snapshot.network.img_channels, notes);
  snapshot.dataset = config.dataset;
  snapshot.loss = config.loss;
  snapshot.folded = config.folded;
  return snapshot;
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

LossOptions read_loss(const PickleValue& loss) {
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
  if (loss && loss->is_dict()) config.loss = read_loss(*loss);
  if (!options.ema_std)
    notes.emplace_back("these are the weights being trained (--ema=STD takes a moving average)");
  return assemble(
      to_state_dict(options.ema_std ? choose_ema(root, *options.ema_std) : root.at("net")), config,
      notes);
}

Snapshot from_state_dict(BareWeights bare, const WeightsOptions& options, Notes& notes) {
  if (options.ema_std) throw Error("--ema is for training states; this file is a state dict");
  StateDict tensors = tensors_of(std::move(bare), notes);
  drop_compiler_names(tensors, notes);
  tensors = options.prefix ? with_chosen_prefix(tensors, *options.prefix, notes)
                           : with_found_prefix(std::move(tensors), notes);
  return assemble(tensors, options.config.value_or(PartialConfig{}), notes);
}

void refuse_options(const WeightsOptions& options) {
  if (options.ema_std) throw Error("--ema is for training states; this file is a snapshot");
  if (options.prefix) throw Error("--prefix is for state dicts; this file is a snapshot");
  if (options.config)
    throw Error("this file has a configuration; --config and --like are for files without one");
}

}  // namespace

bool is_training_state(const PickleValue& root) {
  return root.is_dict() && root.find("net") && root.find("optimizer");
}

StateDict named_tensors(const PickleValue& root) {
  NamedTensors found;
  if (root.is_dict()) flatten(root, "", 0, found);
  return std::move(found.tensors);
}

LoadedWeights complete_weights(FileContents file, const fs::path& path,
                               const WeightsOptions& options) {
  LoadedWeights result;
  result.format = file.format;
  if (auto* snapshot = std::get_if<Snapshot>(&file.contents)) {
    refuse_options(options);
    result.snapshot = std::move(*snapshot);
    return result;
  }
  auto& bare = std::get<BareWeights>(file.contents);
  result.snapshot = is_training_state(bare.torch_root)
                        ? from_training_state(path, bare.torch_root, options, result.notes)
                        : from_state_dict(std::move(bare), options, result.notes);
  check_snapshot(result.snapshot);
  return result;
}

LoadedWeights load_weights(const fs::path& path, const WeightsOptions& options) {
  return with_file_name(path, [&] {
    const MappedFile file(path);
    return complete_weights(read_network(file.bytes(), path.string(), /*views=*/false), path,
                            options);
  });
}

}  // namespace edm2
