// The layouts in which autoencoders are handed round, brought to that of diffusers.
#pragma once

#include <map>
#include <string>

#include "edm2/core/tensor.h"

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

}  // namespace edm2
