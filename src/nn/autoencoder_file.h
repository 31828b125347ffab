// Tensors of an autoencoder's files.
#pragma once

#include <cstddef>

#include "edm2/nn/autoencoder_kl.h"

namespace edm2 {

/// Bytes of a config.json or an index.
inline constexpr size_t longest_vae_config = size_t{1} << 20;

/// The tensors of autoencoder_layout() in its order, with the current names and shapes of attention
/// layers. Throws Error naming tensors that are missing, unknown, of the wrong shape or no floats.
StateDict check_autoencoder_tensors(const AutoencoderOptions& options, const StateDict& state);

}  // namespace edm2
