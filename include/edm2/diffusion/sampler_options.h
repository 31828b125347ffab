/// The options of the sampler, for all who let users set them.
#pragma once

#include "edm2/core/option_table.h"
#include "edm2/diffusion/sampler.h"

namespace edm2 {

/// "solver", "steps", "sigma_min" and so on, under the names of the original's program.
const OptionTable<SamplerOptions>& sampler_options();

}  // namespace edm2
