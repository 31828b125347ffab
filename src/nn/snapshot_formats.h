// The containers of snapshots: what snapshot.cpp and weights_file.cpp choose from.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/shared_bytes.h"
#include "edm2/nn/snapshot.h"
#include "edm2/nn/weights_file.h"

namespace edm2 {

Snapshot snapshot_from_pickle(const PickleValue& root);
/// An object of the original's network class.
bool is_network_object(const PickleValue& value);
/// snapshot_from_pickle() is what reads it: such an object, alone or in a dict.
bool holds_network_object(const PickleValue& root);
/// Copies what `dict` records of these options; returns the names of those that it does. Throws
/// Error if one is of another type.
std::set<std::string> read_network_options(const PickleValue& dict, NetworkOptions& options);
PickleValue snapshot_to_pickle(const Snapshot& snapshot);

/// The metadata must have "network".
Snapshot snapshot_from_safetensors(SafetensorsFile file);
std::map<std::string, std::string> safetensors_metadata(const Snapshot& snapshot);

/// What torch.save wrote into the file is `root`. None if the file holds no configuration.
std::optional<Snapshot> snapshot_from_torch(std::span<const std::byte> contents,
                                            const PickleValue& root);
void save_torch_snapshot(const std::filesystem::path& path, const Snapshot& snapshot);

/// All but the tensors.
nlohmann::json snapshot_config_to_json(const Snapshot& snapshot);

/// Tensors in a file without a configuration.
struct BareWeights {
  StateDict tensors;  // safetensors
  std::map<std::string, std::string> metadata;
  PickleValue torch_root;  // or what torch.save or pickle.dump wrote
};
struct FileContents {
  SnapshotFormat format = SnapshotFormat::pickle;
  std::variant<Snapshot, BareWeights> contents;
};
/// What the contents of a file of any container hold. Throws Error: no network, or a snapshot that
/// is not usable.
FileContents read_network(std::span<const std::byte> contents, const std::string& name);
/// The same with tensors that are parts of the contents where that can be (see view_pickle).
FileContents view_network(const SharedBytes& contents, const std::string& name);

/// What load_weights() makes of a file that was read: see weights_file.h.
LoadedWeights complete_weights(FileContents file, const std::filesystem::path& path,
                               const WeightsOptions& options);
/// A dict with the network being trained and the state of its optimizer.
bool is_training_state(const PickleValue& root);
/// All tensors in nested dicts, named "outer.inner"; empty if it is no dict.
StateDict named_tensors(const PickleValue& root);
/// Names are among them that EDM2 networks have, with or without something in front.
bool holds_network_tensors(const StateDict& tensors);

/// Throws Error if encoder or loss cannot be used, whatever file they come from.
void check_snapshot(const Snapshot& snapshot);
/// Throws Error if files of that format cannot hold the snapshot.
void check_format(const Snapshot& snapshot, SnapshotFormat format);

/// In a catch block: throws the same error again, with the file's name in front if it has none.
[[noreturn]] void rethrow_naming(const std::filesystem::path& path);
/// Runs `read`; its errors name the file.
template <class Read>
auto with_file_name(const std::filesystem::path& path, Read read) {
  try {
    return read();
  } catch (const Error&) {
    rethrow_naming(path);
  }
}

/// Output channels and number of heads of a block; heads may be 0.
struct HeadCount {
  int64_t channels = 0, heads = 0;
};

/// Fills the members of `options` that the tensors' names and shapes tell (all but numbers such as
/// balances). `heads`: what is known of attention; empty = channels_per_head stays. Where tensors
/// contradict each other, most of them win. `options.model_channels` is kept if it divides all
/// widths and `keep_model_channels`. Throws Error if the tensors are not those of an EDM2 network.
void infer_structure(const StateDict& tensors, const std::vector<HeadCount>& heads,
                     NetworkOptions& options, bool keep_model_channels = false);

/// infer_structure() fills the option of that name.
bool is_told_by_tensors(const std::string& option);

/// Whether a part of the uncertainty head is there.
bool has_uncertainty_head(const StateDict& tensors);

/// Adds a sentence if tensors hold numbers of 8 bits.
void note_small_numbers(const StateDict& tensors, std::vector<std::string>& notes);

/// Validates the options and returns the tensors in state-dict order, those of 8-bit numbers as
/// float16. Throws StateMismatch if tensors are missing, unknown, of another shape, or hold no
/// floating-point numbers.
StateDict check_tensors(const NetworkOptions& options, const StateDict& tensors);

}  // namespace edm2
