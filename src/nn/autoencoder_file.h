// Tensors of an autoencoder's files.
#pragma once

#include "edm2/nn/autoencoder_kl.h"

namespace edm2 {

/// The tensors of autoencoder_layout() in its order, with the current names and shapes of attention
/// layers. Throws Error naming tensors that are missing, unknown, of the wrong shape or no floats.
StateDict check_autoencoder_tensors(const AutoencoderOptions& options, const StateDict& state);

}  // namespace edm2
