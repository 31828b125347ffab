// The containers of snapshots: what snapshot.cpp chooses from.
#pragma once

#include <utility>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"
#include "edm2/io/safetensors.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

Snapshot snapshot_from_pickle(const PickleValue& root);
PickleValue snapshot_to_pickle(const Snapshot& snapshot);

Snapshot snapshot_from_safetensors(SafetensorsFile file);
std::map<std::string, std::string> safetensors_metadata(const Snapshot& snapshot);

/// The snapshot in the contents of a file, of any container; with `views`, tensors point into the
/// contents where that can be (see view_pickle). Not checked by check_snapshot.
Snapshot snapshot_from_contents(std::span<const std::byte> contents, const std::string& name,
                                bool views);

/// Throws Error if encoder or loss cannot be used, whatever file they come from.
void check_snapshot(const Snapshot& snapshot);

/// Runs `read`; its errors name the file.
template <class Read>
auto with_file_name(const std::filesystem::path& path, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    const std::string message = error.what(), name = path.string();
    if (message.find(name) != std::string::npos) throw;
    throw Error(name + ": " + message);
  }
}

/// Output channels and number of heads of a block with attention layers.
struct HeadCount {
  int64_t channels = 0, heads = 0;
};

/// Fills the members of `options` that the tensors' names and shapes tell (all but numbers such as
/// balances). `heads`: what is known of attention; empty = channels_per_head stays. Throws Error if
/// the tensors are not those of an EDM2 network.
void infer_structure(const StateDict& tensors, const std::vector<HeadCount>& heads,
                     NetworkOptions& options);

/// Validates the options and returns the tensors in state-dict order. Throws Error naming the first
/// tensor that is missing, has another shape or no floating type, or that the network lacks.
StateDict check_tensors(const NetworkOptions& options, const StateDict& tensors);

}  // namespace edm2
