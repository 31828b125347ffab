// The containers of snapshots: what snapshot.cpp chooses from.
#pragma once

#include <utility>
#include <vector>

#include "edm2/io/pickle.h"
#include "edm2/io/safetensors.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

Snapshot snapshot_from_pickle(const PickleValue& root);
PickleValue snapshot_to_pickle(const Snapshot& snapshot);

Snapshot snapshot_from_safetensors(SafetensorsFile file);
std::map<std::string, std::string> safetensors_metadata(const Snapshot& snapshot);

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
