// The layouts in which autoencoders are handed round, brought to that of diffusers.
#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/core/printable.h"
#include "nn/autoencoder_file.h"

namespace edm2 {
namespace {

using Parts = std::vector<std::string>;

Parts split_name(const std::string& name) {
  Parts parts;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    parts.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string joined(const Parts& parts) {
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : ".") + part;
  return name;
}

/// A number of a level or block.
std::optional<int> as_index(const std::string& part) {
  int value = 0;
  const char* end = part.data() + part.size();
  const auto [stop, error] = std::from_chars(part.data(), end, value);
  constexpr int most = 999;
  if (error != std::errc() || stop != end || value < 0 || value > most) return std::nullopt;
  return value;
}

// ---- Where in the file it is.

constexpr std::string_view anchors[] = {"encoder.conv_in.weight", "decoder.conv_in.weight"};

/// What stands before the names of the autoencoders in the file: "" or "...." with a dot at its
/// end; whole ones only, unless there is none.
std::vector<std::string> find_prefixes(const StateDict& state) {
  std::set<std::string> found[std::size(anchors)];
  for (const auto& [name, tensor] : state)
    for (size_t i = 0; i < std::size(anchors); ++i) {
      if (!name.ends_with(anchors[i])) continue;
      const std::string prefix = name.substr(0, name.size() - anchors[i].size());
      if (prefix.empty() || prefix.back() == '.') found[i].insert(prefix);
    }
  std::vector<std::string> prefixes;
  std::set_intersection(found[0].begin(), found[0].end(), found[1].begin(), found[1].end(),
                        std::back_inserter(prefixes));
  if (prefixes.empty())
    std::set_union(found[0].begin(), found[0].end(), found[1].begin(), found[1].end(),
                   std::back_inserter(prefixes));
  return prefixes;
}

std::string without_compile_wrapper(std::string name) {
  constexpr std::string_view wrapper = "_orig_mod.";
  for (size_t at = name.find(wrapper); at != std::string::npos; at = name.find(wrapper, at)) {
    if (at == 0 || name[at - 1] == '.')
      name.erase(at, wrapper.size());
    else
      at += wrapper.size();
  }
  return name;
}

/// What training leaves beside the network.
bool is_leftover(const std::string& name) {
  return name.starts_with("loss.") || name == "model_ema.decay" || name == "model_ema.num_updates";
}

// ---- Names.

using Renamed = std::pair<std::string_view, std::string_view>;

constexpr Renamed of_attention[] = {
    {"norm", "group_norm"},    {"q", "to_q"},         {"k", "to_k"},     {"v", "to_v"},
    {"query", "to_q"},         {"key", "to_k"},       {"value", "to_v"}, {"proj_out", "to_out.0"},
    {"proj_attn", "to_out.0"}, {"to_out", "to_out.0"}};
constexpr Renamed of_residual_blocks[] = {{"nin_shortcut", "conv_shortcut"}};

void rename_part(std::string& part, std::span<const Renamed> table) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Renamed& entry) { return entry.first == part; });
  if (found != table.end()) part = found->second;
}

/// encoder.mid.block_1 -> encoder.mid_block.resnets.0, and so on.
void rename_middle(Parts& parts) {
  const std::pair<std::string_view, Parts> known[] = {{"block_1", {"resnets", "0"}},
                                                      {"block_2", {"resnets", "1"}},
                                                      {"attn_1", {"attentions", "0"}}};
  for (const auto& [old_part, now] : known) {
    if (parts[2] != old_part) continue;
    parts[1] = "mid_block";
    parts.erase(parts.begin() + 2);
    parts.insert(parts.begin() + 2, now.begin(), now.end());
    return;
  }
}

/// encoder.down.2.block.0 -> encoder.down_blocks.2.resnets.0; decoder.up.2.block.0 ->
/// decoder.up_blocks.1.resnets.0 if there are 4 levels: diffusers counts from the latents on.
void rename_level(Parts& parts, int up_levels) {
  const bool up = parts[1] == "up";
  const auto level = as_index(parts[2]);
  if (!level) return;
  const std::string index = std::to_string(up ? up_levels - 1 - *level : *level);
  const std::string sampler = up ? "upsample" : "downsample";
  Parts start = {parts[0], up ? "up_blocks" : "down_blocks", index};
  if (parts[3] == "block") {
    start.push_back("resnets");
  } else if (parts[3] == sampler) {
    start.insert(start.end(), {sampler + "rs", "0"});
  } else {
    return;
  }
  start.insert(start.end(), parts.begin() + 4, parts.end());
  parts = std::move(start);
}

std::string current_name(const std::string& name, int up_levels) {
  Parts parts = split_name(name);
  if (parts.size() < 3 || (parts[0] != "encoder" && parts[0] != "decoder")) return name;
  if (parts[1] == "norm_out") parts[1] = "conv_norm_out";
  if (parts[1] == "mid" && parts.size() > 3) rename_middle(parts);
  if (parts.size() > 4 && parts[1] == (parts[0] == "encoder" ? "down" : "up"))
    rename_level(parts, up_levels);
  // kind.INDEX.layer.weight
  for (size_t i = 2; i + 3 < parts.size(); ++i) {
    if (parts[i] == "resnets") rename_part(parts[i + 2], of_residual_blocks);
    // Not the 0 of a to_out.0.
    if (parts[i] == "attentions" && i + 4 == parts.size()) rename_part(parts[i + 2], of_attention);
  }
  return joined(parts);
}

/// How many levels decoder.up.LEVEL counts.
int count_up_levels(const NamedTensors& tensors) {
  int levels = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with("decoder.up.")) continue;
    if (const auto level = as_index(split_name(name)[2])) levels = std::max(levels, *level + 1);
  }
  return levels;
}

// ---- Other autoencoders.

struct OtherKind {
  std::string_view part, words;
};

/// By a part of a name that ours have nowhere; '^': at its beginning.
constexpr OtherKind other_kinds[] = {
    {"^quantize.", "a VQ model, whose latents are entries of a table"},
    {"time_conv_out", "an autoencoder of videos"},
    {"temporal_res_block", "an autoencoder of videos"},
    {"time_stack", "an autoencoder of videos"},
    {"time_mix_conv", "an autoencoder of videos"},
    {"^encoder.downsamples.", "an autoencoder of videos (Wan)"},
    {"condition_encoder", "the asymmetric VAE for inpainting"},
    {"^encoder.stages.", "a deep compression autoencoder (DC-AE)"},
    {"^encoder.layers.", "a tiny autoencoder (TAESD)"},
    {"^decoder.layers.", "a tiny autoencoder (TAESD)"},
    {".attn.0.", "an autoencoder with attention in its levels"},
};

bool has_part(const std::string& name, std::string_view part) {
  return part.front() == '^' ? name.starts_with(part.substr(1))
                             : name.find(part) != std::string::npos;
}

/// Says by the first name that tells it what else the tensors are; "" if nothing does.
std::string describe_other_kind(const NamedTensors& tensors) {
  for (const auto& [part, words] : other_kinds)
    for (const auto& [name, tensor] : tensors)
      if (has_part(name, part)) return std::string(words) + " (it has " + shown_name(name) + ")";
  for (const auto& [name, tensor] : tensors) {
    const bool own_half = name.starts_with("encoder.") || name.starts_with("decoder.");
    if (own_half && tensor.dim() == 5)
      return "an autoencoder of videos (" + shown_name(name) + " has five axes)";
    const bool in_level =
        name.starts_with("encoder.down_blocks.") || name.starts_with("decoder.up_blocks.");
    if (in_level && name.find(".attentions.") != std::string::npos)
      return "an autoencoder with attention in its levels (it has " + shown_name(name) + ")";
  }
  return "";
}

/// TAESD as its authors publish it: one half in a file, layers by number.
bool is_half_of_taesd(const NamedTensors& tensors) {
  return (tensors.contains("0.weight") || tensors.contains("1.weight")) &&
         (tensors.contains("1.conv.0.weight") || tensors.contains("3.conv.0.weight"));
}

void refuse_other_kinds(const NamedTensors& tensors, bool found) {
  const bool diffusion = std::any_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    return entry.first.find("diffusion_model.") != std::string::npos;
  });
  if (!found && diffusion)
    throw Error("this checkpoint of a diffusion model holds no VAE (it has no tensor " +
                std::string(anchors[0]) + ")");
  std::string other = describe_other_kind(tensors);
  if (other.empty() && !found && is_half_of_taesd(tensors))
    other = "one half of a tiny autoencoder (TAESD)";
  if (!other.empty()) throw Error("this is not the VAE of Stable Diffusion but " + other);
}

}  // namespace

std::string shown_name(const std::string& name) {
  constexpr size_t longest = 200;
  return printable_within(name, longest);
}

NamedTensors with_current_names(const StateDict& original) {
  StateDict file = original;
  for (auto& entry : file) entry.first = without_compile_wrapper(std::move(entry.first));
  const std::vector<std::string> prefixes = find_prefixes(file);
  if (prefixes.size() > 1)
    throw Error("the file holds several VAEs (their names begin with '" + shown_name(prefixes[0]) +
                "' and '" + shown_name(prefixes[1]) + "'); save the one that is meant by itself");
  const std::string prefix = prefixes.empty() ? "" : prefixes.front();
  NamedTensors own;
  for (const auto& [name, tensor] : file) {
    if (!name.starts_with(prefix)) continue;
    const std::string rest = name.substr(prefix.size());
    if (is_leftover(rest)) continue;
    if (!own.emplace(rest, tensor).second) throw Error("two tensors are named " + shown_name(rest));
  }
  refuse_other_kinds(own, !prefixes.empty());
  const int up_levels = count_up_levels(own);
  NamedTensors tensors;
  for (const auto& [name, tensor] : own) {
    const std::string current = current_name(name, up_levels);
    if (!tensors.emplace(current, tensor).second)
      throw Error("two tensors are named " + shown_name(current) +
                  " (or were under an older name)");
  }
  return tensors;
}

}  // namespace edm2
