// Where the VAE of a network lies on this machine.
#pragma once

#include <string>

#include "edm2/io/source.h"
#include "edm2/nn/autoencoder_kl.h"

namespace edm2 {

/// The files of the VAE `name`: a folder, or what it is called on the Hugging Face hub
/// ("stabilityai/sd-vae-ft-mse"). The latter is looked for where the original and the hub's own
/// tools keep it:
///   - diffusers/ in the roots of the cache (cache_roots()),
///   - $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub,
///     $HOME/.cache/huggingface/hub: the first that is set,
/// and otherwise downloaded into the cache from $HF_ENDPOINT or https://huggingface.co.
///
/// Throws Error that says what to download and where from (offline, no network, no such name) and
/// Interrupted.
AutoencoderFiles find_vae(const std::string& name, const FetchOptions& options, Progress& progress);

}  // namespace edm2
