// The tensors of files of other programs, under the names that the network has for them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/snapshot_formats.h"

namespace edm2 {

/// Sentences for the user.
using Notes = std::vector<std::string>;

/// What a file of bare tensors holds, "ema.unet.out_gain" for nested ones. Throws Error if there
/// are no tensors.
StateDict tensors_of(const BareWeights& bare, Notes& notes);

/// Takes off what wrappers and checkpoints put in front of names, and leaves out what belongs to
/// other networks: those whose names do not begin with `prefix`, or, without one, with what is
/// found. Throws Error if there are several networks, or none of that prefix.
StateDict tidy_names(StateDict tensors, const std::optional<std::string>& prefix, Notes& notes);

}  // namespace edm2
