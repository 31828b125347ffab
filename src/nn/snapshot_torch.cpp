// Snapshots as torch files: a state dict, and the configuration beside the pickle.
#include <nlohmann/json.hpp>

#include "edm2/io/json.h"
#include "edm2/io/torch_file.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

constexpr const char* config_entry = "edm2.json";

}  // namespace

void save_torch_snapshot(const std::filesystem::path& path, const Snapshot& snapshot) {
  save_torch_file(path, to_pickle(snapshot.tensors),
                  {{config_entry, to_text(snapshot_config_to_json(snapshot))}});
}

std::optional<Snapshot> snapshot_from_torch(std::span<const std::byte> contents,
                                            const PickleValue& root) {
  // Training states have an entry of that name, too, for what a run needs to go on.
  if (is_training_state(root)) return std::nullopt;
  const auto text = read_torch_extra(contents, config_entry);
  if (!text) return std::nullopt;
  Snapshot snapshot = snapshot_from_config(parse_json(*text));
  const StateDict tensors = to_state_dict(root);
  snapshot.network.has_logvar = has_uncertainty_head(tensors);
  snapshot.tensors = check_tensors(snapshot.network, tensors);
  return snapshot;
}

}  // namespace edm2
