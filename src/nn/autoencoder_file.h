// Tensors of an autoencoder's files, and the layouts in which these are handed round.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "edm2/nn/autoencoder_kl.h"

namespace edm2 {

using NamedTensors = std::map<std::string, Tensor>;

/// The tensors of the autoencoder among those of a file, by the names of autoencoder_layout().
/// Understood are, also mixed:
///   - the names of diffusers, attention's old ones too (query, key, value, proj_attn),
///   - those of the latent-diffusion code (encoder.down.0.block.0, decoder.up.3.block.0: counted
///     from the other end, mid.attn_1.q, nin_shortcut, norm_out),
///   - either of them behind a prefix that all tensors of the autoencoder have
///     (first_stage_model., vae., state_dict.model.vae., ...): what has another is left out, as are
///     leftovers of its training (loss., model_ema.decay) and _orig_mod of torch.compile.
/// Names that belong to none of these stay as they are. Throws Error: two tensors of one name, two
/// autoencoders in one file, or autoencoders of other kinds (VQ, of videos, tiny ones, ...), by
/// name.
NamedTensors with_current_names(const StateDict& file);

/// For messages: no control characters, and not too long.
std::string shown_name(const std::string& name);

/// Bytes of a config.json or an index.
inline constexpr size_t longest_vae_config = size_t{1} << 20;

/// The tensors of autoencoder_layout() in its order, with the current names and shapes of attention
/// layers. Throws Error naming tensors that are missing, unknown, of the wrong shape or no floats.
StateDict check_autoencoder_tensors(const AutoencoderOptions& options, const StateDict& state);

}  // namespace edm2
