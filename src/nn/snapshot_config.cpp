// What a snapshot holds beside its tensors, as JSON: in the metadata of safetensors, beside the
// pickle of torch files, and in files of their own.
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/weights_file.h"
#include "nn/network_fields.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

using nlohmann::json;

json encoder_json(const EncoderOptions& encoder) {
  if (encoder.kind == EncoderOptions::Kind::rgb) return {{"class_name", "StandardRGBEncoder"}};
  if (encoder.kind == EncoderOptions::Kind::none) return {{"class_name", "IdentityEncoder"}};
  return {{"class_name", "StabilityVAEEncoder"},
          {"vae_name", encoder.vae_name},
          {"scale", encoder.scale},
          {"bias", encoder.bias},
          {"batch_size", encoder.batch_size}};
}

EncoderOptions encoder_from(const json& value) {
  EncoderOptions encoder;
  const auto name = value.at("class_name").get<std::string>();
  if (name == "StandardRGBEncoder") return encoder;
  if (name == "IdentityEncoder") {
    encoder.kind = EncoderOptions::Kind::none;
    return encoder;
  }
  if (name != "StabilityVAEEncoder")
    throw Error("the snapshot needs the unknown encoder " + name.substr(0, 100));
  encoder.kind = EncoderOptions::Kind::stability_vae;
  value.at("vae_name").get_to(encoder.vae_name);
  value.at("scale").get_to(encoder.scale);
  value.at("bias").get_to(encoder.bias);
  value.at("batch_size").get_to(encoder.batch_size);
  return encoder;
}

// `use_labels` and `sigma_data` may be missing: training_options.json leaves defaults out.
DatasetOptions dataset_from(const json& value) {
  return {value.at("path").get<std::string>(), value.value("use_labels", true),
          value.value("label_kind", "class") == "vector"};
}

LossOptions loss_from(const json& value) {
  const LossOptions defaults;
  return {value.value("P_mean", defaults.P_mean), value.value("P_std", defaults.P_std),
          value.value("sigma_data", defaults.sigma_data)};
}

// The constructor arguments as training_options.json records them.
EncoderOptions encoder_from_arguments(const json& value) {
  const auto name = value.at("class_name").get<std::string>();
  const std::string short_name = name.substr(name.rfind('.') + 1);
  if (short_name == "StandardRGBEncoder" || short_name == "IdentityEncoder")
    return encoder_from({{"class_name", short_name}});
  if (short_name != "StabilityVAEEncoder")
    throw Error("the network needs the unknown encoder " + short_name.substr(0, 100));
  EncoderOptions encoder = stability_vae_options();
  encoder.vae_name = value.value("vae_name", encoder.vae_name);
  encoder.batch_size = value.value("batch_size", encoder.batch_size);
  for (const auto& [key, ignored] : value.items())
    if (key != "class_name" && key != "vae_name" && key != "batch_size")
      throw Error("encoder_kwargs has \"" + key.substr(0, 100) +
                  "\", which is not known here; write the encoder as edm2 info --json does");
  return encoder;
}

/// All but the network, into a Snapshot or PartialConfig.
template <class Target>
void read_parts(const json& root, Target& target) {
  if (root.contains("encoder")) target.encoder = encoder_from(root.at("encoder"));
  if (root.contains("dataset")) target.dataset = dataset_from(root.at("dataset"));
  if (root.contains("loss")) target.loss = loss_from(root.at("loss"));
  target.folded = root.value("folded", false);
}

Snapshot snapshot_from(const json& config, const StateDict& tensors) {
  Snapshot snapshot;
  try {
    snapshot.network = network_options_from_json(config.at("network"));
    read_parts(config, snapshot);
  } catch (const json::exception&) {
    throw Error("the configuration of the snapshot is malformed");
  }
  snapshot.network.has_logvar = has_uncertainty_head(tensors);
  snapshot.tensors = check_tensors(snapshot.network, tensors);
  return snapshot;
}

/// One line; bytes that are no UTF-8 are replaced.
std::string to_text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

constexpr const char* torch_entry = "edm2.json";  // beside the pickle of a torch file

PartialConfig config_of_a_run(const json& root) {
  json network = root.at("network_kwargs");
  network.erase("class_name");
  PartialConfig config;
  config.network = network_options_from_json(network);
  for (const auto& [name, value] : network.items()) config.known.insert(name);
  // What a run does not record has its default, except for what tensors tell better.
  for_each_field(config.network, [&](const std::string& name, const auto&) {
    if (!is_told_by_tensors(name)) config.known.insert(name);
  });
  if (root.contains("encoder_kwargs"))
    config.encoder = encoder_from_arguments(root.at("encoder_kwargs"));
  if (root.contains("dataset_kwargs")) config.dataset = dataset_from(root.at("dataset_kwargs"));
  if (root.contains("loss_kwargs")) config.loss = loss_from(root.at("loss_kwargs"));
  return config;
}

PartialConfig partial_config(const json& root) {
  if (!root.is_object()) throw Error("the configuration must be a JSON object");
  if (root.contains("network_kwargs")) return config_of_a_run(root);
  const bool is_bare = !root.contains("network");
  const json& network = is_bare ? root : root.at("network");
  PartialConfig config;
  config.network = network_options_from_json(network);
  for (const auto& [name, value] : network.items()) config.known.insert(name);
  if (!is_bare) read_parts(root, config);
  return config;
}

}  // namespace

json snapshot_config_to_json(const Snapshot& snapshot) {
  json root = {{"format", "edm2"},
               {"network", to_json(snapshot.network)},
               {"encoder", encoder_json(snapshot.encoder)}};
  if (snapshot.dataset) {
    root["dataset"] = {{"path", snapshot.dataset->path},
                       {"use_labels", snapshot.dataset->use_labels}};
    if (snapshot.dataset->vector_labels) root["dataset"]["label_kind"] = "vector";
  }
  if (snapshot.loss)
    root["loss"] = {{"P_mean", snapshot.loss->P_mean},
                    {"P_std", snapshot.loss->P_std},
                    {"sigma_data", snapshot.loss->sigma_data}};
  if (snapshot.folded) root["folded"] = true;
  return root;
}

std::map<std::string, std::string> safetensors_metadata(const Snapshot& snapshot) {
  const json config = snapshot_config_to_json(snapshot);
  std::map<std::string, std::string> metadata;  // texts only
  for (const auto& [key, value] : config.items())
    metadata[key] = value.is_string() ? value.get<std::string>() : to_text(value);
  return metadata;
}

Snapshot snapshot_from_safetensors(SafetensorsFile file) {
  json config = json::object();
  for (const char* key : {"network", "encoder", "dataset", "loss", "folded"}) {
    const auto entry = file.metadata.find(key);
    if (entry != file.metadata.end()) config[key] = parse_json(entry->second);
  }
  Snapshot snapshot = snapshot_from(config, file.tensors);
  note_small_numbers(file.tensors, snapshot.notes);
  return snapshot;
}

void save_torch_snapshot(const std::filesystem::path& path, const Snapshot& snapshot) {
  save_torch_file(path, to_pickle(snapshot.tensors),
                  {{torch_entry, to_text(snapshot_config_to_json(snapshot))}});
}

std::optional<Snapshot> snapshot_from_torch(std::span<const std::byte> contents,
                                            const PickleValue& root) {
  // Training states have an entry of that name, too, for what a run needs to go on.
  if (is_training_state(root)) return std::nullopt;
  const auto text = read_torch_extra(contents, torch_entry);
  if (!text) return std::nullopt;
  return snapshot_from(parse_json(*text), to_state_dict(root));
}

PartialConfig config_of(const Snapshot& snapshot) {
  PartialConfig config = {snapshot.network, {}, snapshot.encoder, snapshot.dataset, snapshot.loss,
                          snapshot.folded};
  for_each_field(config.network, [&](const char* name, const auto&) { config.known.insert(name); });
  return config;
}

PartialConfig read_config_file(const std::filesystem::path& path) {
  return with_file_name(path, [&] {
    try {
      return partial_config(parse_json_file(read_text_file(path), "'" + path.string() + "'"));
    } catch (const json::exception&) {
      throw Error("a value of the configuration is of another type");
    }
  });
}

}  // namespace edm2
