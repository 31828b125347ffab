// The members of NetworkOptions by the original's argument names, in the order of its constructors.
#pragma once

#include "edm2/nn/network_options.h"

namespace edm2 {

/// Calls visit(name, member, ...) with that member of each of the options, for each member but
/// has_logvar, which tensors tell. Options: NetworkOptions, const or not.
template <class Visitor, class... Options>
void for_each_field_of(Visitor&& visit, Options&... options) {
  visit("img_resolution", options.img_resolution...);
  visit("img_channels", options.img_channels...);
  visit("label_dim", options.label_dim...);
  visit("use_fp16", options.use_fp16...);
  visit("sigma_data", options.sigma_data...);
  visit("logvar_channels", options.logvar_channels...);
  visit("model_channels", options.model_channels...);
  visit("channel_mult", options.channel_mult...);
  visit("channel_mult_noise", options.channel_mult_noise...);
  visit("channel_mult_emb", options.channel_mult_emb...);
  visit("num_blocks", options.num_blocks...);
  visit("attn_resolutions", options.attn_resolutions...);
  visit("label_balance", options.label_balance...);
  visit("concat_balance", options.concat_balance...);
  visit("resample_filter", options.resample_filter...);
  visit("channels_per_head", options.channels_per_head...);
  visit("dropout", options.dropout...);
  visit("res_balance", options.res_balance...);
  visit("attn_balance", options.attn_balance...);
  visit("clip_act", options.clip_act...);
}

template <class Options, class Visitor>
void for_each_field(Options& options, Visitor&& visit) {
  for_each_field_of(visit, options);
}

}  // namespace edm2
