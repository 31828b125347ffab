// Networks: snapshots, state dicts, training states.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/info_parts.h"
#include "edm2/core/error.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/state_report.h"
#include "edm2/nn/weights_file.h"
#include "nn/network_fields.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

// Magnitudes of one tensor, NaN and infinities left out.
struct Magnitudes {
  double rms = 0, largest = 0;
  int64_t non_finite = 0;
};

Magnitudes magnitudes_of(const Tensor& tensor) {
  Magnitudes result;
  if (tensor.numel() == 0) return result;
  const Tensor values = tensor.to(at::kFloat);
  const Tensor finite = values.isfinite();
  result.non_finite = values.numel() - finite.sum().item<int64_t>();
  const Tensor kept = result.non_finite > 0 ? values.where(finite, at::zeros_like(values)) : values;
  result.largest = kept.abs().max().item<double>();
  result.rms = at::linalg_vector_norm(kept, 2, c10::nullopt, false, at::kDouble).item<double>() /
               std::sqrt(static_cast<double>(tensor.numel()));
  return result;
}

bool is_buffer(const std::string& name) {
  return name.ends_with(".freqs") || name.ends_with(".phases");
}

bool ends_with_name(const StateDict& tensors, std::string_view ending) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& entry) { return entry.first.ends_with(ending); });
}

// Well-known networks by the names of some of their tensors.
std::string kind_of(const StateDict& tensors) {
  if (ends_with_name(tensors, "decoder.conv_in.weight") &&
      ends_with_name(tensors, "encoder.conv_in.weight"))
    return "state dict of a VAE (AutoencoderKL)";
  if (ends_with_name(tensors, "cls_token") && ends_with_name(tensors, "patch_embed.proj.weight"))
    return "state dict of a vision transformer (DINOv2)";
  if (ends_with_name(tensors, "Conv2d_1a_3x3.conv.weight")) return "state dict of InceptionV3";
  return "state dict";
}

void add_notes(InfoJson& info, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) info["notes"].push_back(note);
}

void add_config(InfoJson& info, const Snapshot& snapshot) {
  const auto config = snapshot_config_to_json(snapshot);
  for_each_field(snapshot.network, [&](const char* name, const auto&) {
    info["network"][name] = config.at("network").at(name);
  });
  if (!snapshot.network.has_logvar) info["network"]["has_logvar"] = false;
  for (const char* key : {"encoder", "dataset", "loss", "folded"})
    if (config.contains(key)) info[key] = config.at(key);
}

// What the tensors tell of an EDM2 network's options. Returns the network's tensors; none if they
// do not tell, which is noted.
std::optional<StateDict> add_completed(InfoJson& info, FileContents file,
                                       const std::filesystem::path& path) {
  try {
    LoadedWeights loaded = complete_weights(std::move(file), path, {});
    add_config(info, loaded.snapshot);
    add_notes(info, loaded.notes);
    return std::move(loaded.snapshot.tensors);
  } catch (const Error& error) {
    add_notes(info, {error.what()});
    return std::nullopt;
  }
}

// A state dict; of an EDM2 network also the options that its tensors tell.
void add_state_dict(InfoJson& info, FileContents file, StateDict tensors,
                    const std::filesystem::path& path, const FileInfoOptions& options) {
  info["kind"] = kind_of(tensors);
  if (ends_with_name(tensors, "unet.out_conv.weight")) {
    info["kind"] = "state dict of an EDM2 network";
    if (auto complete = add_completed(info, std::move(file), path)) tensors = std::move(*complete);
  }
  add_tensors(info, tensors, options);
}

void add_training_state(InfoJson& info, FileContents file, const PickleValue& root,
                        const std::filesystem::path& path, const FileInfoOptions& options) {
  info["kind"] = "training state";
  if (const PickleValue* state = root.find("state"); state && state->is_dict()) {
    if (const PickleValue* nimg = state->find("cur_nimg")) info["cur_nimg"] = nimg->as_int();
    if (const PickleValue* time = state->find("total_elapsed_time"))
      info["total_elapsed_time"] = time->as_double();
  }
  if (const PickleValue* ema = root.find("ema"); ema && ema->is_dict())
    info["ema_stds"] = ema->at("stds").as_doubles();
  if (const PickleValue* optimizer = root.find("optimizer"); optimizer && optimizer->is_dict())
    if (const PickleValue* groups = optimizer->find("param_groups");
        groups && groups->size() == 1 && groups->elements()[0].is_dict()) {
      const PickleValue& group = groups->elements()[0];
      if (group.find("lr")) info["optimizer"]["lr"] = group.at("lr").as_double();
      if (group.find("betas")) info["optimizer"]["betas"] = group.at("betas").as_doubles();
      if (group.find("eps")) info["optimizer"]["eps"] = group.at("eps").as_double();
    }
  const StateDict tensors = to_state_dict(root.at("net"));
  add_completed(info, std::move(file), path);
  add_tensors(info, tensors, options);
}

}  // namespace

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kByte:
      return "uint8";
    case at::kChar:
      return "int8";
    case at::kShort:
      return "int16";
    case at::kInt:
      return "int32";
    case at::kLong:
      return "int64";
    case at::kBool:
      return "bool";
    default:
      return c10::toString(dtype);
  }
}

void add_tensors(InfoJson& info, const StateDict& tensors, const FileInfoOptions& options) {
  int64_t parameters = 0, buffers = 0, non_finite = 0;
  double lowest_rms = std::numeric_limits<double>::infinity(), highest_rms = 0;
  std::map<std::string, int64_t> types;
  InfoJson layers = InfoJson::array(), damaged = InfoJson::array();
  for (const auto& [name, tensor] : tensors) {
    (is_buffer(name) ? buffers : parameters) += tensor.numel();
    ++types[dtype_name(tensor.scalar_type())];
    InfoJson layer = {{"name", name},
                      {"shape", tensor.sizes().vec()},
                      {"type", dtype_name(tensor.scalar_type())},
                      {"values", tensor.numel()}};
    if (options.values && at::isFloatingType(tensor.scalar_type())) {
      const Magnitudes magnitudes = magnitudes_of(tensor);
      layer["rms"] = magnitudes.rms;
      layer["largest"] = magnitudes.largest;
      non_finite += magnitudes.non_finite;
      constexpr size_t most_names = 10;
      if (magnitudes.non_finite > 0 && damaged.size() < most_names) damaged.push_back(name);
      if (name.ends_with(".weight")) {
        lowest_rms = std::min(lowest_rms, magnitudes.rms);
        highest_rms = std::max(highest_rms, magnitudes.rms);
      }
    }
    if (options.layers) layers.push_back(std::move(layer));
  }
  info["tensors"] = tensors.size();
  info["parameters"] = parameters;
  info["buffers"] = buffers;
  info["types"] = types;
  if (options.values) {
    info["non_finite_values"] = non_finite;
    if (!damaged.empty()) info["non_finite_in"] = damaged;
    if (highest_rms > 0) info["weight_rms"] = {lowest_rms, highest_rms};
  }
  if (options.layers) info["layers"] = std::move(layers);
}

void add_snapshot(InfoJson& info, const Snapshot& snapshot, const FileInfoOptions& options) {
  info["kind"] = "network snapshot";
  add_config(info, snapshot);
  add_notes(info, snapshot.notes);
  add_tensors(info, snapshot.tensors, options);
}

void add_safetensors(InfoJson& info, Bytes contents, const std::filesystem::path& path,
                     const FileInfoOptions& options) {
  info["container"] = "safetensors";
  FileContents file = read_network(contents, path.string());
  if (const auto* snapshot = std::get_if<Snapshot>(&file.contents))
    return add_snapshot(info, *snapshot, options);
  const auto& bare = std::get<BareWeights>(file.contents);
  const StateDict tensors = bare.tensors;
  if (!bare.metadata.empty()) info["metadata"] = bare.metadata;
  add_state_dict(info, std::move(file), tensors, path, options);
}

void add_torch_file(InfoJson& info, Bytes contents, const std::filesystem::path& path,
                    const FileInfoOptions& options) {
  info["container"] = "torch";
  FileContents file = read_network(contents, path.string());
  if (const auto* snapshot = std::get_if<Snapshot>(&file.contents))
    return add_snapshot(info, *snapshot, options);
  const PickleValue root = std::get<BareWeights>(file.contents).torch_root;
  if (is_training_state(root))
    return add_training_state(info, std::move(file), root, path, options);
  const StateDict tensors = named_tensors(root);
  if (tensors.empty())
    add_pickle(info, root);
  else
    add_state_dict(info, std::move(file), tensors, path, options);
}

}  // namespace edm2
