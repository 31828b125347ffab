#include "edm2/nn/network_options.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "edm2/core/error.h"
#include "nn/network_fields.h"
#include "nn/unet_plan.h"

namespace edm2 {
namespace {

// Far beyond any network that fits into memory, and small enough that no product overflows.
constexpr int64_t most_channels = int64_t{1} << 20;
constexpr int64_t most_labels = int64_t{1} << 24;
constexpr int64_t highest_resolution = int64_t{1} << 20;
constexpr int64_t most_levels = 20;
constexpr int64_t most_blocks = 1000;

void check_range(const char* name, int64_t value, int64_t lowest, int64_t highest) {
  if (value >= lowest && value <= highest) return;
  throw Error(std::string(name) + " must be between " + std::to_string(lowest) + " and " +
              std::to_string(highest) + ", not " + std::to_string(value));
}

void check_fraction(const char* name, double value) {
  if (value >= 0 && value <= 1) return;
  throw Error(std::string(name) + " must be between 0 and 1, not " + std::to_string(value));
}

void check_positive(const char* name, double value) {
  if (std::isfinite(value) && value > 0) return;
  throw Error(std::string(name) + " must be a positive number, not " + std::to_string(value));
}

void check_sizes(const NetworkOptions& options) {
  check_range("img_resolution", options.img_resolution, 1, highest_resolution);
  check_range("img_channels", options.img_channels, 1, most_channels);
  check_range("label_dim", options.label_dim, 0, most_labels);
  check_range("logvar_channels", options.logvar_channels, 1, most_channels);
  check_range("model_channels", options.model_channels, 1, most_channels);
  check_range("number of levels (channel_mult)", static_cast<int64_t>(options.channel_mult.size()),
              1, most_levels);
  for (const int64_t mult : options.channel_mult)
    check_range("channel_mult", mult, 1, most_channels / options.model_channels);
  const int64_t most_mult = most_channels / options.model_channels;
  if (options.channel_mult_noise)
    check_range("channel_mult_noise", *options.channel_mult_noise, 1, most_mult);
  if (options.channel_mult_emb)
    check_range("channel_mult_emb", *options.channel_mult_emb, 1, most_mult);
  check_range("num_blocks", options.num_blocks, 1, most_blocks);
  check_range("channels_per_head", options.channels_per_head, 1, most_channels);
}

void check_resampling(const NetworkOptions& options) {
  const int64_t divisor = int64_t{1} << (options.channel_mult.size() - 1);
  if (options.img_resolution % divisor != 0) {
    const int64_t below = options.img_resolution / divisor * divisor;
    const std::string above = std::to_string(below + divisor);
    throw Error("img_resolution " + std::to_string(options.img_resolution) +
                " must be divisible by " + std::to_string(divisor) + ", because the network has " +
                std::to_string(options.channel_mult.size()) + " levels; the next " +
                (below > 0 ? "sizes that work are " + std::to_string(below) + " and " + above
                           : "size that works is " + above));
  }
  const auto& filter = options.resample_filter;
  if (filter.empty() || filter.size() % 2 != 0 || filter.size() > 64)
    throw Error("resample_filter must have an even number of taps, at most 64, not " +
                std::to_string(filter.size()));
  double sum = 0;
  for (const double tap : filter) sum += tap;
  if (!std::isfinite(sum) || sum == 0)
    throw Error("the taps of resample_filter must have a finite sum other than 0");
}

// The original reshapes [N, C, ...] to [N, heads, C / heads, ...] and fails there.
void check_heads(const NetworkOptions& options) {
  const UNetPlan plan = plan_unet(options);
  for (const auto* blocks : {&plan.encoder, &plan.decoder})
    for (const BlockPlan& block : *blocks)
      if (block.num_heads > 0 && block.out_channels % block.num_heads != 0)
        throw Error("the attention of block " + block.name + " cannot split " +
                    std::to_string(block.out_channels) + " channels into " +
                    std::to_string(block.num_heads) +
                    " heads; choose channels_per_head or model_channels differently");
}

// ---- JSON

template <class T>
nlohmann::json written(const T& value) {
  return value;
}
template <class T>
nlohmann::json written(const std::optional<T>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

void expect(bool right_type, const std::string& name, const char* expected) {
  if (!right_type) throw Error("the network option " + name + " must be " + expected);
}
void read_value(const std::string& name, const nlohmann::json& json, bool& value) {
  expect(json.is_boolean(), name, "true or false");
  value = json.get<bool>();
}
void read_value(const std::string& name, const nlohmann::json& json, int64_t& value) {
  expect(json.is_number_integer(), name, "an integer");
  value = json.get<int64_t>();
}
void read_value(const std::string& name, const nlohmann::json& json, double& value) {
  expect(json.is_number(), name, "a number");
  value = json.get<double>();
}
template <class T>
void read_value(const std::string& name, const nlohmann::json& json, std::vector<T>& value) {
  expect(json.is_array(), name, "a list");
  value.clear();
  for (const auto& element : json) read_value(name, element, value.emplace_back());
}
template <class T>
void read_value(const std::string& name, const nlohmann::json& json, std::optional<T>& value) {
  value.reset();
  if (!json.is_null()) read_value(name, json, value.emplace());
}

}  // namespace

void validate(const NetworkOptions& options) {
  check_sizes(options);
  check_positive("sigma_data", options.sigma_data);
  check_fraction("label_balance", options.label_balance);
  check_fraction("concat_balance", options.concat_balance);
  check_fraction("res_balance", options.res_balance);
  check_fraction("attn_balance", options.attn_balance);
  if (!(options.dropout >= 0 && options.dropout < 1))
    throw Error("dropout must be at least 0 and below 1, not " + std::to_string(options.dropout));
  if (options.clip_act) check_positive("clip_act", *options.clip_act);
  check_resampling(options);
  check_heads(options);
}

nlohmann::json to_json(const NetworkOptions& options) {
  nlohmann::json json = nlohmann::json::object();
  for_each_field(options,
                 [&](const char* name, const auto& value) { json[name] = written(value); });
  if (!options.has_logvar) json["has_logvar"] = false;
  return json;
}

NetworkOptions network_options_from_json(const nlohmann::json& json) {
  if (!json.is_object()) throw Error("the network options must be a JSON object");
  NetworkOptions options;
  size_t known = 0;
  for_each_field(options, [&](const char* name, auto& value) {
    const auto entry = json.find(name);
    if (entry == json.end()) return;
    read_value(name, *entry, value);
    ++known;
  });
  if (const auto entry = json.find("has_logvar"); entry != json.end()) {
    read_value("has_logvar", *entry, options.has_logvar);
    ++known;
  }
  if (known == json.size()) return options;
  for (const auto& [name, value] : json.items()) {
    bool found = name == "has_logvar";
    for_each_field(options, [&](const char* field, const auto&) { found |= name == field; });
    if (!found) throw Error("unknown network option \"" + name.substr(0, 100) + '"');
  }
  return options;
}

}  // namespace edm2
