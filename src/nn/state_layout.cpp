#include "edm2/nn/state_layout.h"

#include "nn/unet_plan.h"

namespace edm2 {
namespace {

void add_block(std::vector<StateEntry>& layout, const std::string& prefix, const BlockPlan& block,
               bool encoder, int64_t emb_channels) {
  const int64_t in = block.in_channels, out = block.out_channels;
  if (block.is_conv) {
    layout.push_back({prefix + ".weight", {out, in, 3, 3}});
    return;
  }
  layout.push_back({prefix + ".emb_gain", {}});
  layout.push_back({prefix + ".conv_res0.weight", {out, encoder ? out : in, 3, 3}});
  layout.push_back({prefix + ".emb_linear.weight", {out, emb_channels}});
  layout.push_back({prefix + ".conv_res1.weight", {out, out, 3, 3}});
  if (in != out) layout.push_back({prefix + ".conv_skip.weight", {out, in, 1, 1}});
  if (block.num_heads > 0) {
    layout.push_back({prefix + ".attn_qkv.weight", {3 * out, out, 1, 1}});
    layout.push_back({prefix + ".attn_proj.weight", {out, out, 1, 1}});
  }
}

void add_fourier(std::vector<StateEntry>& layout, const std::string& prefix, int64_t channels) {
  layout.push_back({prefix + ".freqs", {channels}, true});
  layout.push_back({prefix + ".phases", {channels}, true});
}

}  // namespace

std::vector<StateEntry> state_layout(const NetworkOptions& options) {
  const UNetPlan plan = plan_unet(options);
  std::vector<StateEntry> layout;
  layout.push_back({"unet.out_gain", {}});
  add_fourier(layout, "unet.emb_fourier", plan.noise_channels);
  layout.push_back({"unet.emb_noise.weight", {plan.emb_channels, plan.noise_channels}});
  if (options.label_dim > 0)
    layout.push_back({"unet.emb_label.weight", {plan.emb_channels, options.label_dim}});
  for (const auto& block : plan.encoder)
    add_block(layout, "unet.enc." + block.name, block, true, plan.emb_channels);
  for (const auto& block : plan.decoder)
    add_block(layout, "unet.dec." + block.name, block, false, plan.emb_channels);
  layout.push_back({"unet.out_conv.weight", {options.img_channels, plan.out_channels, 3, 3}});
  if (!options.has_logvar) return layout;
  add_fourier(layout, "logvar_fourier", options.logvar_channels);
  layout.push_back({"logvar_linear.weight", {1, options.logvar_channels}});
  return layout;
}

}  // namespace edm2
