// Networks from their tensors: checking them, and guessing the options of files that do not record
// them.
#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>

#include "edm2/core/error.h"
#include "edm2/nn/state_layout.h"
#include "edm2/nn/state_report.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

// What several tensors tell of one number. One damaged tensor should be named later, and not spoil
// the guess.
class Votes {
 public:
  void add(int64_t value) { ++counts_[value]; }
  bool empty() const { return counts_.empty(); }
  int64_t winner() const {
    return std::max_element(counts_.begin(), counts_.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->first;
  }
  int64_t winner(const char* what) const {
    if (empty()) throw Error(std::string("the tensors do not tell the ") + what);
    return winner();
  }

 private:
  std::map<int64_t, int> counts_;
};

struct Level {
  Votes width;
  int64_t blocks = 0;
  bool has_attention = false;
};

struct Evidence {
  std::map<int64_t, Level, std::greater<>> levels;  // of the encoder, by resolution
  Votes img_channels, label_dim, logvar_channels, noise_width, emb_width;
};

// Takes a number off the front of `text`; false if there is none.
bool take_number(std::string_view& text, int64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "64x64_block0.conv_res0.weight", shape [width, ...]
void look_at_encoder(std::string_view rest, at::IntArrayRef shape, Evidence& evidence) {
  int64_t resolution = 0, again = 0, block = 0;
  if (!take_number(rest, resolution) || !take(rest, "x") || !take_number(rest, again) ||
      again != resolution || resolution == 0)
    return;
  Level& level = evidence.levels[resolution];
  if (rest == "_conv.weight" && shape.size() == 4) {
    evidence.img_channels.add(shape[1] - 1);  // less the constant channel
    level.width.add(shape[0]);
  }
  if (!take(rest, "_block") || !take_number(rest, block) || !take(rest, ".")) return;
  constexpr int64_t most_blocks = 10000;
  level.blocks = std::max(level.blocks, std::min(block, most_blocks) + 1);
  if (rest.starts_with("attn_")) level.has_attention = true;
  const bool tells_width =
      rest == "conv_res0.weight" || rest == "conv_res1.weight" || rest == "emb_linear.weight";
  if (tells_width && !shape.empty()) level.width.add(shape[0]);
}

void look_at(std::string_view name, at::IntArrayRef shape, Evidence& evidence) {
  if (take(name, "unet.enc.")) {
    if (name.ends_with(".emb_linear.weight") && shape.size() == 2) evidence.emb_width.add(shape[1]);
    look_at_encoder(name, shape, evidence);
  } else if (name.starts_with("unet.dec.")) {
    if (name.ends_with(".emb_linear.weight") && shape.size() == 2) evidence.emb_width.add(shape[1]);
  } else if (name == "unet.out_conv.weight" && !shape.empty()) {
    evidence.img_channels.add(shape[0]);
  } else if (name == "unet.emb_noise.weight" && shape.size() == 2) {
    evidence.emb_width.add(shape[0]);
    evidence.noise_width.add(shape[1]);
  } else if (name.starts_with("unet.emb_fourier.") && shape.size() == 1) {
    evidence.noise_width.add(shape[0]);
  } else if (name == "unet.emb_label.weight" && shape.size() == 2) {
    evidence.emb_width.add(shape[0]);
    evidence.label_dim.add(shape[1]);
  } else if (name.starts_with("logvar_fourier.") && shape.size() == 1) {
    evidence.logvar_channels.add(shape[0]);
  } else if (name == "logvar_linear.weight" && shape.size() == 2) {
    evidence.logvar_channels.add(shape[1]);
  }
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

void infer_structure(const StateDict& tensors, const std::vector<HeadCount>& heads,
                     NetworkOptions& options, bool keep_model_channels) {
  Evidence evidence;
  for (const auto& [name, tensor] : tensors) look_at(name, tensor.sizes(), evidence);
  if (evidence.levels.empty()) throw Error("the tensors are not those of an EDM2 network");
  options.img_resolution = evidence.levels.begin()->first;
  options.img_channels = evidence.img_channels.winner("number of image channels");
  options.label_dim = evidence.label_dim.empty() ? 0 : evidence.label_dim.winner();
  if (!evidence.logvar_channels.empty())
    options.logvar_channels = evidence.logvar_channels.winner();

  std::vector<int64_t> widths;
  options.num_blocks = 0;
  options.attn_resolutions.clear();
  for (const auto& [resolution, level] : evidence.levels) {
    widths.push_back(level.width.winner("widths of the encoder"));
    options.num_blocks = std::max(options.num_blocks, level.blocks);
    if (level.has_attention) options.attn_resolutions.push_back(resolution);
  }

  // Any common divisor of the widths would do; the greatest is what the presets use.
  const int64_t noise_width = evidence.noise_width.winner("width of the noise embedding");
  const int64_t emb_width = evidence.emb_width.winner("width of the embedding");
  int64_t unit = std::gcd(noise_width, emb_width);
  for (const int64_t width : widths) unit = std::gcd(unit, width);
  if (unit < 1) throw Error("the network has layers without channels");
  const int64_t wanted = options.model_channels;
  if (keep_model_channels && wanted > 0 && unit % wanted == 0) unit = wanted;
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

bool is_told_by_tensors(const std::string& option) {
  for (const char* told :
       {"img_resolution", "img_channels", "label_dim", "logvar_channels", "model_channels",
        "channel_mult", "channel_mult_noise", "channel_mult_emb", "num_blocks", "attn_resolutions"})
    if (option == told) return true;
  return false;
}

bool has_uncertainty_head(const StateDict& tensors) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const auto& entry) { return entry.first.starts_with("logvar_"); });
}

void note_small_numbers(const StateDict& tensors, std::vector<std::string>& notes) {
  const auto is_small = [](const auto& entry) {
    return c10::isFloat8Type(entry.second.scalar_type());
  };
  const auto first = std::find_if(tensors.begin(), tensors.end(), is_small);
  if (first == tensors.end()) return;
  notes.push_back(std::to_string(std::count_if(tensors.begin(), tensors.end(), is_small)) +
                  " tensors hold numbers of 8 bits (the first is " + printable_name(first->first) +
                  "); they are read as float16, which has all of these values");
}

StateDict check_tensors(const NetworkOptions& options, const StateDict& state) {
  StateReport report = compare_state(options, state);
  if (!report.matches()) throw StateMismatch(report.sentence(), report);
  std::map<std::string_view, const Tensor*> by_name;
  for (const auto& [name, tensor] : state) by_name[name] = &tensor;
  StateDict result;
  for (const StateEntry& entry : state_layout(options)) {
    const Tensor& tensor = *by_name.at(entry.name);
    // Every number of 8 bits is one of float16, which layers compute with.
    const bool is_small = c10::isFloat8Type(tensor.scalar_type());
    result.emplace_back(entry.name, is_small ? tensor.to(at::kHalf) : tensor);
  }
  return result;
}

}  // namespace edm2
