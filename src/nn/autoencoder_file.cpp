// Reading autoencoders: options, tensors, and whether they fit together.
#include "nn/autoencoder_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/shared_bytes.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/finite.h"
#include "edm2/nn/state_report.h"
#include "io/foreign_content.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

/// What was stored as a convolution of kernel 1 for a linear layer, or the other way round. The
/// numbers are the same in the same order.
Tensor in_shape(const Tensor& tensor, at::IntArrayRef shape) {
  const auto without_ones = [](at::IntArrayRef sizes) {
    while (sizes.size() > 2 && sizes.back() == 1) sizes = sizes.slice(0, sizes.size() - 1);
    return sizes;
  };
  return without_ones(tensor.sizes()) == without_ones(shape) ? tensor.reshape(shape) : tensor;
}

/// "a", "a and 1 other", "a and 7 others".
std::string first_of(const std::vector<std::string>& names) {
  std::string text = shown_name(names.front());
  if (names.size() > 1)
    text += " and " + std::to_string(names.size() - 1) + (names.size() == 2 ? " other" : " others");
  return text;
}

StateDict check_tensors(const AutoencoderOptions& options, const NamedTensors& tensors) {
  const std::vector<StateEntry> layout = autoencoder_layout(options);
  std::vector<std::string> missing, unknown;
  std::vector<std::string> known;
  for (const StateEntry& entry : layout) {
    known.push_back(entry.name);
    if (!tensors.contains(entry.name)) missing.push_back(entry.name);
  }
  std::sort(known.begin(), known.end());
  for (const auto& [name, tensor] : tensors)
    if (!std::binary_search(known.begin(), known.end(), name)) unknown.push_back(name);
  if (!missing.empty() || !unknown.empty()) {
    std::string text = "these are not the tensors that the VAE's configuration demands:";
    if (!missing.empty())
      text += " " + first_of(missing) + (missing.size() == 1 ? " is" : " are") + " missing";
    if (!missing.empty() && !unknown.empty()) text += ", and";
    if (!unknown.empty())
      text += " " + first_of(unknown) + (unknown.size() == 1 ? " is" : " are") + " unknown";
    throw Error(text);
  }
  StateDict result;
  for (const StateEntry& entry : layout) {
    const Tensor tensor = in_shape(tensors.at(entry.name), entry.shape);
    if (tensor.sizes() != at::IntArrayRef(entry.shape))
      throw Error("the tensor " + entry.name + " has the shape " + shape_text(tensor.sizes()) +
                  ", but the VAE's configuration demands " + shape_text(entry.shape));
    if (!at::isFloatingType(tensor.scalar_type()))
      throw Error("the tensor " + entry.name + " is of type " +
                  c10::toString(tensor.scalar_type()) + ", but weights are floating-point numbers");
    if (!all_finite(tensor))
      throw Error("the VAE's weights are damaged: values in " + entry.name +
                  " are not finite (NaN or infinity)");
    result.emplace_back(entry.name, tensor);
  }
  return result;
}

// ---- Options from the tensors' shapes.

int64_t size_of(const NamedTensors& tensors, const std::string& name, int64_t dimension) {
  const auto entry = tensors.find(name);
  if (entry == tensors.end()) throw Error("this is not a VAE: it lacks the tensor " + name);
  if (entry->second.dim() <= dimension)
    throw Error("the tensor " + name + " has the shape " + shape_text(entry->second.sizes()) +
                ", which no VAE has");
  return entry->second.size(dimension);
}

AutoencoderOptions infer_options(const NamedTensors& tensors) {
  AutoencoderOptions options;
  options.block_out_channels.clear();
  const auto block = [](size_t level, int64_t layer) {
    return "encoder.down_blocks." + std::to_string(level) + ".resnets." + std::to_string(layer) +
           ".conv1.weight";
  };
  for (size_t level = 0; level == 0 || tensors.contains(block(level, 0)); ++level)
    options.block_out_channels.push_back(size_of(tensors, block(level, 0), 0));
  options.layers_per_block = 1;
  while (tensors.contains(block(0, options.layers_per_block))) ++options.layers_per_block;
  options.in_channels = size_of(tensors, "encoder.conv_in.weight", 1);
  options.out_channels = size_of(tensors, "decoder.conv_out.weight", 0);
  options.latent_channels = size_of(tensors, "decoder.conv_in.weight", 1);
  options.use_quant_conv = tensors.contains("quant_conv.weight");
  options.use_post_quant_conv = tensors.contains("post_quant_conv.weight");
  options.mid_block_add_attention =
      tensors.contains("decoder.mid_block.attentions.0.group_norm.weight");
  // Shapes do not tell the number of groups. All published models have 32.
  for (const int64_t width : options.block_out_channels)
    if (width % options.norm_num_groups != 0)
      throw Error(
          "its tensors do not tell the number of groups of its normalisation layers (it "
          "cannot be the usual 32); put its config.json beside it");
  return options;
}

// ---- Files.

AutoencoderOptions read_config(const fs::path& path) {
  const json config =
      parse_json_file(read_text_file(path, longest_vae_config), "'" + path.string() + "'");
  try {
    const json name = config.is_object() ? config.value("_class_name", json()) : json();
    // The same network in JAX has the same configuration.
    if (name.is_string() && name != "AutoencoderKL" && name != "FlaxAutoencoderKL")
      throw Error("it is for " + shown_name(name.get<std::string>()) +
                  ", another autoencoder than Stable Diffusion's AutoencoderKL");
    return autoencoder_options_from_json(config);
  } catch (const Error& problem) {
    throw Error(path.string() + " does not describe a VAE: " + problem.what());
  }
}

/// The tensors in dicts within dicts, as checkpoints have them; their names joined by dots.
/// `values`: how many were seen so far.
void collect_tensors(const PickleValue& value, const std::string& name, int depth, size_t& values,
                     StateDict& tensors) {
  constexpr int deepest = 10;
  constexpr size_t most_values = 1'000'000;
  if (depth > deepest || ++values > most_values)
    throw Error("the file has too many values for a VAE");
  if (value.is_tensor()) tensors.emplace_back(name, value.as_tensor());
  if (!value.is_dict()) return;
  for (const auto& [key, child] : value.items())
    if (key.is_string())
      collect_tensors(child, name.empty() ? key.as_string() : name + '.' + key.as_string(),
                      depth + 1, values, tensors);
}

/// All tensors of a file; those of safetensors point into it.
StateDict tensors_of_file(const fs::path& path) {
  const SharedBytes file = SharedBytes::of_file(path);
  if (is_safetensors(file.span())) return view_safetensors(file, path.string()).tensors;
  if (!is_torch_file(file.span()))
    throw Error("'" + path.string() +
                "' is no file of weights (neither safetensors nor a file of torch.save)" +
                in_brackets(describe_file(path)));
  const PickleValue root = read_torch_bytes(file.span(), path.string());
  if (!root.is_dict()) throw Error("this is " + root.kind_name() + ", not a dict of tensors");
  StateDict tensors;
  size_t values = 0;
  collect_tensors(root, "", 0, values, tensors);
  return tensors;
}

/// The files of an index, which says which of them has which tensor.
std::vector<fs::path> shards_of(const fs::path& index) {
  const json parsed =
      parse_json_file(read_text_file(index, longest_vae_config), "'" + index.string() + "'");
  const json map = parsed.is_object() ? parsed.value("weight_map", json()) : json();
  std::set<fs::path> files;
  for (const json& file : map.is_object() ? map : json::object()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (name.empty() || name == ".." || name.find_first_of("/\\") != std::string::npos)
      throw Error("its weight_map names a file that is not beside it");
    files.insert(index.parent_path() / name);
  }
  if (files.empty()) throw Error("it has no weight_map that names the files with the weights");
  return {files.begin(), files.end()};
}

/// Those of the VAE, with memory of their own, however large the checkpoint around them is.
NamedTensors read_weight_files(const fs::path& path) {
  StateDict all;
  const bool is_index = path.extension() == ".json";
  for (const fs::path& file : is_index ? shards_of(path) : std::vector{path}) {
    StateDict more = tensors_of_file(file);
    std::move(more.begin(), more.end(), std::back_inserter(all));
  }
  NamedTensors tensors = with_current_names(all);
  for (auto& [name, tensor] : tensors) {
    const Tensor own = at::empty(tensor.sizes(), tensor.options());
    if (tensor.nbytes() > 0)
      std::memcpy(own.mutable_data_ptr(), tensor.const_data_ptr(), tensor.nbytes());
    tensor = own;
  }
  return tensors;
}

}  // namespace

StateDict check_autoencoder_tensors(const AutoencoderOptions& options, const StateDict& state) {
  return check_tensors(options, with_current_names(state));
}

AutoencoderWeights load_autoencoder(const AutoencoderFiles& files) {
  std::optional<AutoencoderOptions> options;
  if (files.config) options = read_config(*files.config);
  try {
    const NamedTensors tensors = read_weight_files(files.weights);
    if (!options) options = infer_options(tensors);
    return {*options, check_tensors(*options, tensors)};
  } catch (const Error& problem) {
    const std::string message = problem.what(), name = files.weights.string();
    if (message.find(name) != std::string::npos) throw;
    throw Error(name + ": " + message);
  }
}

AutoencoderWeights load_autoencoder(const fs::path& path) {
  return load_autoencoder(find_autoencoder_files(path));
}

}  // namespace edm2
