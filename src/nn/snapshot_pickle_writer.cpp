// Snapshots as the original's Python tools load them: every attribute that its classes read must be
// there.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "edm2/core/error.h"
#include "nn/network_fields.h"
#include "nn/snapshot_formats.h"
#include "nn/unet_plan.h"

namespace edm2 {
namespace {

using Dict = std::vector<PickleValue::Item>;

// The original's loader runs these to find its classes.
constexpr const char* network_source =
    "from training.networks_edm2 import Precond, UNet, Block, MPConv, MPFourier\n";
constexpr const char* encoder_source =
    "from training.encoders import StandardRGBEncoder, StabilityVAEEncoder\n";
constexpr const char* loss_source = "from training.training_loop import EDM2Loss\n";

PickleValue make_dict(const Dict& items) {
  PickleValue dict = PickleValue::dict();
  for (const auto& [key, value] : items) dict.set(key, value);
  return dict;
}

// Whole numbers as integers, as one writes them in Python.
PickleValue number(double value) {
  const auto whole = static_cast<int64_t>(std::abs(value) < 1e15 ? value : 0);
  return static_cast<double>(whole) == value ? PickleValue(whole) : PickleValue(value);
}

PickleValue to_pickle(bool value) { return value; }
PickleValue to_pickle(int64_t value) { return value; }
PickleValue to_pickle(double value) { return number(value); }
PickleValue to_pickle(const std::vector<int64_t>& values) {
  return PickleValue::list(std::vector<PickleValue>(values.begin(), values.end()));
}
PickleValue to_pickle(const std::vector<double>& values) {
  PickleValue list = PickleValue::list();
  for (const double value : values) list.append(number(value));
  return list;
}
template <class T>
PickleValue to_pickle(const std::optional<T>& value) {
  return value ? to_pickle(*value) : PickleValue();
}

// Constructor arguments: those that the original's training always records, then all others that
// differ from the default, less those that the constructor does not have.
Dict constructor_arguments(const NetworkOptions& options, const std::vector<std::string>& always,
                           const std::vector<std::string>& lacking) {
  Dict result;
  std::map<std::string, PickleValue> values, changed;
  const auto compare = [&](const char* name, const auto& value, const auto& usual) {
    values[name] = to_pickle(value);
    if (value != usual) changed[name] = values[name];
  };
  const NetworkOptions defaults;
  for_each_field_of(compare, options, defaults);
  for (const std::string& name : always) {
    result.emplace_back(name, values.at(name));
    changed.erase(name);
  }
  for (const std::string& name : lacking) changed.erase(name);
  for (const auto& [name, value] : changed) result.emplace_back(name, value);
  return result;
}

// What distinguishes one module from another.
struct ModuleParts {
  Dict parameters, buffers, modules, attributes;
  std::vector<PickleValue> init_args;
  Dict init_kwargs;
};

// The 17 entries that torch gives every module, then the attributes.
PickleValue module_state(const ModuleParts& parts) {
  PickleValue state = PickleValue::dict();
  state.set("training", false);
  state.set("_parameters", make_dict(parts.parameters));
  state.set("_buffers", make_dict(parts.buffers));
  state.set("_non_persistent_buffers_set", PickleValue::set());
  const auto no_hooks = [&](const char* name) { state.set(name, PickleValue::ordered_dict()); };
  no_hooks("_backward_pre_hooks");
  no_hooks("_backward_hooks");
  state.set("_is_full_backward_hook", {});
  for (const char* name :
       {"_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
        "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
        "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"})
    no_hooks(name);
  state.set("_modules", make_dict(parts.modules));
  for (const auto& [name, value] : parts.attributes) state.set(name, value);
  return state;
}

PickleValue persistent_module(const char* class_name, const ModuleParts& parts) {
  PickleValue state = module_state(parts);
  state.set("_init_args", PickleValue::tuple(parts.init_args));
  state.set("_init_kwargs", make_dict(parts.init_kwargs));
  return PickleValue::persistent(class_name, std::move(state), network_source);
}

PickleValue module_dict(Dict modules) {
  ModuleParts parts;
  parts.modules = std::move(modules);
  return PickleValue::module("torch.nn.modules.container", "ModuleDict", module_state(parts));
}

class NetworkWriter {
 public:
  explicit NetworkWriter(const Snapshot& snapshot)
      : options_(snapshot.network), plan_(plan_unet(snapshot.network)) {
    for (const auto& [name, tensor] : snapshot.tensors) tensors_[name] = tensor;
  }

  PickleValue precond() const {
    const NetworkOptions& o = options_;
    ModuleParts parts;
    parts.modules = {{"unet", unet()}};
    if (o.has_logvar) {
      parts.modules.emplace_back("logvar_fourier", fourier("logvar_fourier"));
      parts.modules.emplace_back("logvar_linear", conv("logvar_linear"));
    }
    parts.attributes = {{"img_resolution", o.img_resolution},
                        {"img_channels", o.img_channels},
                        {"label_dim", o.label_dim},
                        {"use_fp16", o.use_fp16},
                        {"sigma_data", number(o.sigma_data)}};
    parts.init_kwargs = constructor_arguments(
        o, {"model_channels", "dropout", "use_fp16", "img_resolution", "img_channels", "label_dim"},
        {});
    return persistent_module("Precond", parts);
  }

 private:
  PickleValue unet() const {
    ModuleParts parts;
    parts.parameters = {{"out_gain", parameter("unet.out_gain")}};
    parts.modules = {{"emb_fourier", fourier("unet.emb_fourier")},
                     {"emb_noise", conv("unet.emb_noise")}};
    if (options_.label_dim > 0) parts.modules.emplace_back("emb_label", conv("unet.emb_label"));
    parts.modules.emplace_back("enc", blocks("enc", plan_.encoder));
    parts.modules.emplace_back("dec", blocks("dec", plan_.decoder));
    parts.modules.emplace_back("out_conv", conv("unet.out_conv"));
    parts.attributes = {{"label_balance", number(options_.label_balance)},
                        {"concat_balance", number(options_.concat_balance)}};
    if (options_.label_dim == 0) parts.attributes.emplace_back("emb_label", PickleValue());
    parts.init_kwargs = constructor_arguments(
        options_, {"img_resolution", "img_channels", "label_dim", "model_channels", "dropout"},
        {"use_fp16", "sigma_data", "logvar_channels"});
    return persistent_module("UNet", parts);
  }

  PickleValue blocks(const std::string& part, const std::vector<BlockPlan>& plans) const {
    Dict modules;
    for (const BlockPlan& plan : plans) {
      const std::string name = "unet." + part + '.' + plan.name;
      modules.emplace_back(plan.name, plan.is_conv ? conv(name) : block(name, part, plan));
    }
    return module_dict(std::move(modules));
  }

  PickleValue block(const std::string& name, const std::string& flavor,
                    const BlockPlan& plan) const {
    ModuleParts parts;
    parts.parameters = {{"emb_gain", parameter(name + ".emb_gain")}};
    Dict absent;
    for (const char* layer :
         {"conv_res0", "emb_linear", "conv_res1", "conv_skip", "attn_qkv", "attn_proj"}) {
      const std::string layer_name = name + '.' + layer;
      if (tensors_.contains(layer_name + ".weight"))
        parts.modules.emplace_back(layer, conv(layer_name));
      else
        absent.emplace_back(layer, PickleValue());
    }
    parts.attributes = {{"out_channels", plan.out_channels},
                        {"flavor", flavor},
                        {"resample_filter", to_pickle(options_.resample_filter)},
                        {"resample_mode", resample_mode(plan)},
                        {"num_heads", plan.num_heads},
                        {"dropout", number(options_.dropout)},
                        {"res_balance", number(options_.res_balance)},
                        {"attn_balance", number(options_.attn_balance)},
                        {"clip_act", to_pickle(options_.clip_act)}};
    parts.attributes.insert(parts.attributes.end(), absent.begin(), absent.end());
    parts.init_args = {plan.in_channels, plan.out_channels, plan_.emb_channels};
    parts.init_kwargs = block_arguments(flavor, plan);
    return persistent_module("Block", parts);
  }

  static const char* resample_mode(const BlockPlan& plan) {
    switch (plan.resample) {
      case Resample::down:
        return "down";
      case Resample::up:
        return "up";
      case Resample::keep:
        break;
    }
    return "keep";
  }

  Dict block_arguments(const std::string& flavor, const BlockPlan& plan) const {
    Dict result = {{"flavor", flavor}};
    if (plan.resample != Resample::keep) result.emplace_back("resample_mode", resample_mode(plan));
    if (plan.name.ends_with("_in0")) result.emplace_back("attention", true);
    if (plan.name.find("_block") != std::string::npos) {
      const int64_t resolution = std::strtoll(plan.name.c_str(), nullptr, 10);
      const auto& list = options_.attn_resolutions;
      result.emplace_back("attention",
                          std::find(list.begin(), list.end(), resolution) != list.end());
    }
    std::vector<std::string> of_the_network;  // all but the block options
    for_each_field(options_, [&](const std::string& name, const auto&) {
      for (const char* own : {"resample_filter", "channels_per_head", "dropout", "res_balance",
                              "attn_balance", "clip_act"})
        if (name == own) return;
      of_the_network.push_back(name);
    });
    const Dict own = constructor_arguments(options_, {"dropout"}, of_the_network);
    result.insert(result.end(), own.begin(), own.end());
    return result;
  }

  PickleValue conv(const std::string& name) const {
    const Tensor& weight = tensors_.at(name + ".weight");
    ModuleParts parts;
    parts.parameters = {{"weight", PickleValue::parameter(weight)}};
    parts.attributes = {{"out_channels", weight.size(0)}};
    parts.init_args = {weight.size(1), weight.size(0)};
    PickleValue kernel = PickleValue::list();
    for (int64_t i = 2; i < weight.dim(); ++i) kernel.append(weight.size(i));
    parts.init_kwargs = {{"kernel", kernel}};
    return persistent_module("MPConv", parts);
  }

  PickleValue fourier(const std::string& name) const {
    ModuleParts parts;
    const Tensor &freqs = tensors_.at(name + ".freqs"), &phases = tensors_.at(name + ".phases");
    parts.buffers = {{"freqs", freqs}, {"phases", phases}};
    parts.init_args = {freqs.numel()};
    return persistent_module("MPFourier", parts);
  }

  PickleValue parameter(const std::string& name) const {
    return PickleValue::parameter(tensors_.at(name));
  }

  const NetworkOptions& options_;
  UNetPlan plan_;
  std::map<std::string, Tensor> tensors_;
};

PickleValue encoder(const EncoderOptions& options) {
  const bool is_rgb = options.kind != EncoderOptions::Kind::stability_vae;
  PickleValue state = PickleValue::dict(
      {{"_init_args", PickleValue::tuple()}, {"_init_kwargs", PickleValue::dict()}});
  // The original has no such class. It restores unknown attributes, and passes over them.
  if (options.kind == EncoderOptions::Kind::none) state.set("identity", true);
  if (!is_rgb) {
    state.set("vae_name", options.vae_name);
    state.set("scale", PickleValue::ndarray(at::tensor(options.scale)));
    state.set("bias", PickleValue::ndarray(at::tensor(options.bias)));
    state.set("batch_size", options.batch_size);
    state.set("_vae", {});
  }
  return PickleValue::persistent(is_rgb ? "StandardRGBEncoder" : "StabilityVAEEncoder", state,
                                 encoder_source);
}

PickleValue loss(const LossOptions& options) {
  const Dict numbers = {
      {"P_mean", options.P_mean}, {"P_std", options.P_std}, {"sigma_data", options.sigma_data}};
  PickleValue state = make_dict(numbers);
  state.set("_init_args", PickleValue::tuple());
  state.set("_init_kwargs", make_dict(numbers));
  return PickleValue::persistent("EDM2Loss", state, loss_source);
}

}  // namespace

PickleValue snapshot_to_pickle(const Snapshot& snapshot) {
  using Type = PickleValue::DictType;
  PickleValue root = PickleValue::dict(Type::easy);
  root.set("encoder", encoder(snapshot.encoder));
  if (snapshot.dataset) {
    PickleValue dataset = PickleValue::dict({{"class_name", "training.dataset.ImageFolderDataset"},
                                             {"path", snapshot.dataset->path},
                                             {"use_labels", snapshot.dataset->use_labels}},
                                            Type::easy);
    if (snapshot.dataset->vector_labels) dataset.set("label_kind", "vector");
    root.set("dataset_kwargs", dataset);
  }
  if (snapshot.loss) root.set("loss_fn", loss(*snapshot.loss));
  root.set("ema", NetworkWriter(snapshot).precond());
  return root;
}

}  // namespace edm2
