#include "edm2/train/init_from.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <charconv>
#include <cstdio>
#include <set>

#include "edm2/core/error.h"
#include "edm2/generate/network_source.h"
#include "edm2/nn/finite.h"
#include "edm2/nn/state_layout.h"
#include "edm2/nn/state_report.h"

namespace edm2 {
namespace {

constexpr char label_embedding[] = "unet.emb_label.weight";

std::string size_text(int64_t resolution) {
  return std::to_string(resolution) + "x" + std::to_string(resolution);
}

/// "unet.enc.32x32_block0.emb_gain" -> "unet.enc.64x64_block0.emb_gain" if the source has twice the
/// resolution; other names stay.
std::string source_name(const std::string& name, const NetworkOptions& target,
                        const NetworkOptions& source) {
  constexpr size_t prefix = 9;  // "unet.enc." and "unet.dec."
  if (!name.starts_with("unet.enc.") && !name.starts_with("unet.dec.")) return name;
  const size_t end = name.find('_', prefix);
  for (size_t level = 0; level < target.channel_mult.size(); ++level) {
    if (name.substr(prefix, end - prefix) != size_text(target.img_resolution >> level)) continue;
    return name.substr(0, prefix) + size_text(source.img_resolution >> level) + name.substr(end);
  }
  return name;
}

/// The weight that a gain multiplies; empty for other names.
std::string weight_of_gain(const std::string& name) {
  if (name == "unet.out_gain") return "unet.out_conv.weight";
  constexpr std::string_view gain = ".emb_gain";
  if (!name.ends_with(gain)) return "";
  return name.substr(0, name.size() - gain.size()) + ".emb_linear.weight";
}

/// What is copied where, and the report of it.
struct Plan {
  InitReport report;
  struct Copy {
    std::string name;  // of the network's tensor
    Tensor values;
    bool first_columns = false;  // only those are copied
  };
  std::vector<Copy> copies;
};

/// Old classes keep their numbers where new ones are added behind them.
bool adds_classes(const std::string& name, const Tensor& values,
                  const std::vector<int64_t>& shape) {
  return name == label_embedding && values.dim() == 2 && shape.size() == 2 &&
         values.size(0) == shape[0] && values.size(1) < shape[1];
}

void plan_tensor(const StateEntry& entry, const std::string& name, const Tensor& values,
                 std::set<std::string>& loaded, Plan& plan) {
  InitReport& report = plan.report;
  if (values.sizes() == at::IntArrayRef(entry.shape)) {
    plan.copies.push_back({entry.name, values});
    loaded.insert(entry.name);
    ++report.loaded;
    if (entry.shape.size() > 1 && entry.name.starts_with("unet.")) ++report.loaded_weights;
  } else if (adds_classes(entry.name, values, entry.shape)) {
    plan.copies.push_back({entry.name, values, /*first_columns=*/true});
    loaded.insert(entry.name);
    report.partly.push_back(entry.name + ": classes 0 to " + std::to_string(values.size(1) - 1) +
                            " are those of the file, the other " +
                            std::to_string(entry.shape[1] - values.size(1)) + " start at random");
  } else {
    report.unfitting.push_back(entry.name + ": " + shape_text(values.sizes()) + " in the file" +
                               (name == entry.name ? "" : " (" + name + ")") + ", " +
                               shape_text(entry.shape) + " here");
  }
}

Plan make_plan(const NetworkOptions& target, const Snapshot& source) {
  if (source.folded)
    throw Error("its weights are folded, and cannot be trained; use the file it was made from");
  Plan plan;
  InitReport& report = plan.report;
  if (source.network.img_resolution != target.img_resolution)
    report.by_level = "matched by level, because the file's network is one of " +
                      size_text(source.network.img_resolution) + " images and this one of " +
                      size_text(target.img_resolution);
  std::set<std::string> loaded, wanted;
  for (const bool gains : {false, true}) {  // gains follow their weights
    for (const StateEntry& entry : state_layout(target)) {
      const std::string weight = weight_of_gain(entry.name);
      if (weight.empty() == gains) continue;
      ++report.total;
      const std::string name = source_name(entry.name, target, source.network);
      wanted.insert(name);
      const Tensor values = find_tensor(source.tensors, name);
      if (!values.defined())
        report.missing.push_back(entry.name);
      else if (gains && !loaded.contains(weight))
        report.reset.push_back(entry.name);
      else
        plan_tensor(entry, name, values, loaded, plan);
    }
  }
  for (const auto& [name, tensor] : source.tensors)
    if (!wanted.contains(name)) report.unused.push_back(name);
  return plan;
}

/// What distinguishes networks, for a sentence.
std::string structure_text(const NetworkOptions& options) {
  std::string mult;
  for (const int64_t m : options.channel_mult)
    mult += (mult.empty() ? "" : ",") + std::to_string(m);
  return std::to_string(options.model_channels) + " channels times " + mult;
}

void check_plan(const Plan& plan, const NetworkOptions& target, const NetworkOptions& source) {
  if (plan.report.loaded_weights > 0) return;
  throw Error("none of its weights fits this network: it has " + structure_text(source) +
              ", this one " + structure_text(target) +
              "; leave out --preset, --channels and --channel-mult to take its structure");
}

/// Throws `error` again, with the option and the file in front.
[[noreturn]] void fail(const NamedSource& init_from, const Error& error) {
  const std::string file = init_from.shown(), message = error.what();
  const bool named = message.find(file) != std::string::npos;
  throw Error("--init-from: " + (named ? "" : "'" + file + "': ") + message);
}

}  // namespace

std::vector<std::string> InitReport::lines() const {
  std::vector<std::string> lines;
  lines.push_back("  loaded: " + std::to_string(loaded) + " of " + std::to_string(total) +
                  " tensors" + (by_level.empty() ? "" : ", " + by_level));
  const auto group = [&](const char* title, const std::vector<std::string>& names) {
    if (names.empty()) return;
    lines.push_back("  " + std::string(title) + ": " + std::to_string(names.size()));
    for (const auto& name : names) lines.push_back("    " + name);
  };
  group("loaded in part", partly);
  group("another shape, start at random", unfitting);
  group("not in the file, start at random", missing);
  group("gains of weights that were not loaded, start at 0", reset);
  group("in the file, but not in this network", unused);
  return lines;
}

InitReport plan_initialization(const NetworkOptions& target, const Snapshot& source) {
  Plan plan = make_plan(target, source);
  check_plan(plan, target, source.network);
  return plan.report;
}

InitReport initialize_from(Precond& network, const Snapshot& source) {
  c10::NoGradGuard no_grad;
  Plan plan = make_plan(network.options(), source);
  check_plan(plan, network.options(), source.network);
  StateDict state = network.state_dict();  // shares the network's memory
  for (const auto& copy : plan.copies) {
    Tensor target = find_tensor(state, copy.name);
    if (copy.first_columns) target = target.narrow(1, 0, copy.values.size(1));
    target.copy_(copy.values);
  }
  return plan.report;
}

NetworkOptions structure_for(const NetworkOptions& target, const NetworkOptions& source) {
  NetworkOptions result = source;
  result.has_logvar = target.has_logvar;  // a lost uncertainty head starts anew
  if (!source.has_logvar) result.logvar_channels = target.logvar_channels;
  result.img_resolution = target.img_resolution;
  result.img_channels = target.img_channels;
  result.label_dim = target.label_dim;
  result.use_fp16 = target.use_fp16;
  result.attn_resolutions.clear();
  for (const int64_t resolution : source.attn_resolutions)
    for (size_t level = 0; level < source.channel_mult.size(); ++level)
      if (source.img_resolution >> level == resolution)
        result.attn_resolutions.push_back(target.img_resolution >> level);
  if (target.img_resolution == source.img_resolution)
    result.attn_resolutions = source.attn_resolutions;
  return result;
}

LoadedWeights read_init_weights(TrainOptions& options, Progress& progress) {
  try {
    options.init_from = find_network(options.init_from, options.fetch, progress);
    return load_weights(find_network_file(options.init_from, options.fetch, progress));
  } catch (const Error& error) {
    fail(options.init_from, error);
  }
}

LoadedWeights load_init_weights(TrainOptions& options, Progress& progress) {
  LoadedWeights weights = read_init_weights(options, progress);
  try {
    plan_initialization(options.network, weights.snapshot);
    const std::string damaged = first_not_finite(weights.snapshot.tensors);
    if (!damaged.empty()) throw NotFiniteError(damaged);
  } catch (const Error& error) {
    fail(options.init_from, error);
  }
  return weights;
}

}  // namespace edm2
