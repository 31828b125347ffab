// Networks from their tensors: checking them, and guessing the options of files that do not record
// them.
#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <set>

#include "edm2/core/error.h"
#include "edm2/nn/state_layout.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

class TensorMap {
 public:
  explicit TensorMap(const StateDict& tensors) {
    for (const auto& [name, tensor] : tensors)
      if (!map_.emplace(name, tensor).second)
        throw Error("the network has two tensors named " + name);
  }
  const Tensor* find(const std::string& name) const {
    const auto entry = map_.find(name);
    return entry == map_.end() ? nullptr : &entry->second;
  }
  /// Size of a dimension of a tensor that must be there.
  int64_t size(const std::string& name, int64_t dimension) const {
    const Tensor* tensor = find(name);
    if (!tensor) throw Error("the network lacks the parameter " + name);
    if (tensor->dim() <= dimension)
      throw Error("the parameter " + name + " has too few dimensions");
    return tensor->size(dimension);
  }
  const std::map<std::string, Tensor>& all() const { return map_; }

 private:
  std::map<std::string, Tensor> map_;
};

// Resolutions of the encoder, from the highest: the R of "unet.enc.RxR_...".
std::vector<int64_t> encoder_resolutions(const TensorMap& tensors) {
  constexpr std::string_view prefix = "unet.enc.";
  std::set<int64_t, std::greater<>> found;
  for (const auto& [name, tensor] : tensors.all()) {
    if (!name.starts_with(prefix)) continue;
    int64_t resolution = 0;
    const char* begin = name.data() + prefix.size();
    const auto [end, error] = std::from_chars(begin, name.data() + name.size(), resolution);
    if (error == std::errc() && *end == 'x') found.insert(resolution);
  }
  if (found.empty()) throw Error("the network has no encoder");
  return {found.begin(), found.end()};
}

std::string block_name(const char* part, int64_t resolution, const std::string& suffix) {
  const std::string size = std::to_string(resolution);
  return std::string("unet.") + part + '.' + size + 'x' + size + '_' + suffix;
}

// floor(channels / per_head) must be `heads` for every block: the usual 64 if possible.
void infer_channels_per_head(const std::vector<HeadCount>& known, NetworkOptions& options) {
  int64_t lowest = 1, highest = int64_t{1} << 20;
  for (const auto& [channels, heads] : known) {
    if (heads < 0 || channels < heads) throw Error("a block has an impossible number of heads");
    lowest = std::max(lowest, channels / (heads + 1) + 1);
    if (heads > 0) highest = std::min(highest, channels / heads);
  }
  if (lowest > highest) throw Error("the numbers of attention heads contradict each other");
  options.channels_per_head = std::clamp<int64_t>(options.channels_per_head, lowest, highest);
}

}  // namespace

void infer_structure(const StateDict& state, const std::vector<HeadCount>& heads,
                     NetworkOptions& options) {
  const TensorMap tensors(state);
  const std::vector<int64_t> resolutions = encoder_resolutions(tensors);
  options.img_resolution = resolutions.front();
  options.img_channels = tensors.size("unet.out_conv.weight", 0);
  options.label_dim =
      tensors.find("unet.emb_label.weight") ? tensors.size("unet.emb_label.weight", 1) : 0;
  options.logvar_channels = tensors.size("logvar_fourier.freqs", 0);

  std::vector<int64_t> widths;
  options.attn_resolutions.clear();
  for (const int64_t resolution : resolutions) {
    widths.push_back(tensors.size(block_name("enc", resolution, "block0.conv_res1.weight"), 0));
    if (tensors.find(block_name("enc", resolution, "block0.attn_qkv.weight")))
      options.attn_resolutions.push_back(resolution);
  }
  options.num_blocks = 0;
  while (tensors.find(block_name("enc", resolutions.front(),
                                 "block" + std::to_string(options.num_blocks) + ".emb_gain")))
    ++options.num_blocks;

  // Any common divisor of the widths would do; the greatest is what the presets use.
  const int64_t noise_width = tensors.size("unet.emb_noise.weight", 1);
  const int64_t emb_width = tensors.size("unet.emb_noise.weight", 0);
  int64_t unit = std::gcd(noise_width, emb_width);
  for (const int64_t width : widths) unit = std::gcd(unit, width);
  if (unit < 1) throw Error("the network has layers without channels");
  options.model_channels = unit;
  options.channel_mult.clear();
  for (const int64_t width : widths) options.channel_mult.push_back(width / unit);
  options.channel_mult_noise.reset();
  if (noise_width != widths.front()) options.channel_mult_noise = noise_width / unit;
  options.channel_mult_emb.reset();
  if (emb_width != *std::max_element(widths.begin(), widths.end()))
    options.channel_mult_emb = emb_width / unit;
  infer_channels_per_head(heads, options);
}

StateDict check_tensors(const NetworkOptions& options, const StateDict& state) {
  validate(options);
  const TensorMap tensors(state);
  StateDict result;
  for (const StateEntry& entry : state_layout(options)) {
    const Tensor* tensor = tensors.find(entry.name);
    if (!tensor)
      throw Error(std::string("the network lacks the ") +
                  (entry.is_buffer ? "buffer " : "parameter ") + entry.name);
    if (tensor->sizes() != at::IntArrayRef(entry.shape))
      throw Error(entry.name + " has the shape " + shape_text(tensor->sizes()) +
                  ", but the network's options demand " + shape_text(entry.shape));
    if (!at::isFloatingType(tensor->scalar_type()))
      throw Error(entry.name + " is of type " + c10::toString(tensor->scalar_type()) +
                  ", but the values must be floating-point numbers");
    result.emplace_back(entry.name, *tensor);
  }
  if (result.size() < tensors.all().size()) {
    const TensorMap known(result);
    for (const auto& [name, tensor] : tensors.all())
      if (!known.find(name))
        throw Error("the network has the tensor " + name + ", which its options do not explain");
  }
  return result;
}

}  // namespace edm2
