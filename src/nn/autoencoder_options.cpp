// The options of an autoencoder as diffusers writes them into config.json.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "edm2/core/error.h"
#include "edm2/nn/autoencoder_kl.h"

namespace edm2 {
namespace {

using nlohmann::json;

// Far beyond any autoencoder that exists, and small enough that no product overflows.
constexpr int64_t most_vae_channels = int64_t{1} << 16;
constexpr int64_t most_vae_levels = 10;
constexpr int64_t most_layers = 64;

void check_range(const char* name, int64_t value, int64_t highest) {
  if (value >= 1 && value <= highest) return;
  throw Error(std::string(name) + " must be between 1 and " + std::to_string(highest) + ", not " +
              std::to_string(value));
}

std::string shown(const json& value) {
  return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 100);
}

int64_t as_integer(const char* key, const json& value) {
  if (!value.is_number_integer())
    throw Error(std::string(key) + " must be an integer, not " + shown(value));
  return value.get<int64_t>();
}

void read_integer(const json& config, const char* key, int64_t& target) {
  if (const auto entry = config.find(key); entry != config.end()) target = as_integer(key, *entry);
}

void read_bool(const json& config, const char* key, bool& target) {
  const auto entry = config.find(key);
  if (entry == config.end()) return;
  if (!entry->is_boolean())
    throw Error(std::string(key) + " must be true or false, not " + shown(*entry));
  target = entry->get<bool>();
}

const json& required(const json& config, const char* key) {
  const auto entry = config.find(key);
  if (entry == config.end()) throw Error(std::string(key) + " is missing");
  return *entry;
}

// "down_block_types" and "up_block_types": one known type for each level.
void check_block_types(const json& config, const char* key, const char* type, size_t levels) {
  const auto entry = config.find(key);
  if (entry == config.end()) return;
  if (!entry->is_array() || entry->size() != levels)
    throw Error(std::string(key) + " must be a list of " + std::to_string(levels) +
                " types, as many as block_out_channels has widths");
  for (const json& name : *entry)
    if (name != type)
      throw Error(std::string(key) + " names " + shown(name) + "; only \"" + type +
                  "\" is implemented");
}

}  // namespace

void validate(const AutoencoderOptions& options) {
  check_range("in_channels", options.in_channels, most_vae_channels);
  check_range("out_channels", options.out_channels, most_vae_channels);
  check_range("latent_channels", options.latent_channels, most_vae_channels);
  check_range("the number of levels (block_out_channels)",
              static_cast<int64_t>(options.block_out_channels.size()), most_vae_levels);
  check_range("layers_per_block", options.layers_per_block, most_layers);
  check_range("norm_num_groups", options.norm_num_groups, most_vae_channels);
  for (const int64_t width : options.block_out_channels) {
    check_range("block_out_channels", width, most_vae_channels);
    if (width % options.norm_num_groups != 0)
      throw Error("block_out_channels has the width " + std::to_string(width) +
                  ", which norm_num_groups " + std::to_string(options.norm_num_groups) +
                  " does not divide");
  }
}

AutoencoderOptions autoencoder_options_from_json(const json& config) {
  if (!config.is_object()) throw Error("it must hold a JSON object");
  AutoencoderOptions options;
  const json& widths = required(config, "block_out_channels");
  if (!widths.is_array() || static_cast<int64_t>(widths.size()) > most_vae_levels)
    throw Error("block_out_channels must be a list of at most " + std::to_string(most_vae_levels) +
                " widths");
  options.block_out_channels.clear();
  for (const json& width : widths)
    options.block_out_channels.push_back(as_integer("block_out_channels", width));
  options.layers_per_block = as_integer("layers_per_block", required(config, "layers_per_block"));
  read_integer(config, "in_channels", options.in_channels);
  read_integer(config, "out_channels", options.out_channels);
  read_integer(config, "latent_channels", options.latent_channels);
  read_integer(config, "norm_num_groups", options.norm_num_groups);
  read_bool(config, "mid_block_add_attention", options.mid_block_add_attention);
  read_bool(config, "use_quant_conv", options.use_quant_conv);
  read_bool(config, "use_post_quant_conv", options.use_post_quant_conv);
  check_block_types(config, "down_block_types", "DownEncoderBlock2D", widths.size());
  check_block_types(config, "up_block_types", "UpDecoderBlock2D", widths.size());
  if (const auto act = config.find("act_fn");
      act != config.end() && *act != "silu" && *act != "swish")
    throw Error("act_fn is " + shown(*act) + "; only \"silu\" is implemented");
  validate(options);
  return options;
}

json to_json(const AutoencoderOptions& options) {
  const size_t levels = options.block_out_channels.size();
  return {{"_class_name", "AutoencoderKL"},
          {"in_channels", options.in_channels},
          {"out_channels", options.out_channels},
          {"down_block_types", std::vector<std::string>(levels, "DownEncoderBlock2D")},
          {"up_block_types", std::vector<std::string>(levels, "UpDecoderBlock2D")},
          {"block_out_channels", options.block_out_channels},
          {"layers_per_block", options.layers_per_block},
          {"act_fn", "silu"},
          {"latent_channels", options.latent_channels},
          {"norm_num_groups", options.norm_num_groups},
          {"mid_block_add_attention", options.mid_block_add_attention},
          {"use_quant_conv", options.use_quant_conv},
          {"use_post_quant_conv", options.use_post_quant_conv}};
}

}  // namespace edm2
