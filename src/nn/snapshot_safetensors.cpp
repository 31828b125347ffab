// Snapshots as safetensors: the configuration stands in the metadata, which hold texts only.
#include <nlohmann/json.hpp>

#include "edm2/io/json.h"
#include "nn/snapshot_formats.h"

namespace edm2 {

using nlohmann::json;

std::map<std::string, std::string> safetensors_metadata(const Snapshot& snapshot) {
  const json config = snapshot_config_to_json(snapshot);
  std::map<std::string, std::string> metadata;
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
  Snapshot snapshot = snapshot_from_config(config);
  snapshot.network.has_logvar = has_uncertainty_head(file.tensors);
  note_small_numbers(file.tensors, snapshot.notes);
  snapshot.tensors = check_tensors(snapshot.network, file.tensors);
  return snapshot;
}

}  // namespace edm2
