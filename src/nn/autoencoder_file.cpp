// Reading autoencoders as diffusers stores them.
#include "nn/autoencoder_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "edm2/nn/state_report.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;
using TensorMap = std::map<std::string, Tensor>;

constexpr size_t longest_config = size_t{1} << 20;
constexpr const char* weight_files[] = {"diffusion_pytorch_model.safetensors",
                                        "diffusion_pytorch_model.bin"};

// Until 2023 diffusers called the layers of attention differently.
std::string current_name(const std::string& name) {
  static constexpr std::pair<const char*, const char*> renamed[] = {{".query.", ".to_q."},
                                                                    {".key.", ".to_k."},
                                                                    {".value.", ".to_v."},
                                                                    {".proj_attn.", ".to_out.0."}};
  if (name.find(".attentions.") == std::string::npos) return name;
  for (const auto& [old_part, new_part] : renamed)
    if (const size_t position = name.find(old_part); position != std::string::npos)
      return std::string(name).replace(position, std::string_view(old_part).size(), new_part);
  return name;
}

bool is_attention_weight(const std::string& name) {
  return name.find(".attentions.") != std::string::npos && name.ends_with(".weight");
}

/// By current names; weights of linear layers that were stored as 1x1 convolutions become matrices.
TensorMap with_current_names(const StateDict& state) {
  TensorMap tensors;
  for (const auto& [name, tensor] : state) {
    const std::string current = current_name(name);
    const bool is_1x1 = tensor.dim() == 4 && tensor.size(2) == 1 && tensor.size(3) == 1;
    const Tensor value = is_attention_weight(current) && is_1x1 ? tensor.flatten(1) : tensor;
    if (!tensors.emplace(current, value).second)
      throw Error("two tensors are named " + current + " (or were under an older name)");
  }
  return tensors;
}

/// "a", "a and 1 other", "a and 7 others".
std::string first_of(const std::vector<std::string>& names) {
  std::string text = names.front().substr(0, 200);
  if (names.size() > 1)
    text += " and " + std::to_string(names.size() - 1) + (names.size() == 2 ? " other" : " others");
  return text;
}

StateDict check_tensors(const AutoencoderOptions& options, const TensorMap& tensors) {
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
    const Tensor& tensor = tensors.at(entry.name);
    if (tensor.sizes() != at::IntArrayRef(entry.shape))
      throw Error("the tensor " + entry.name + " has the shape " + shape_text(tensor.sizes()) +
                  ", but the VAE's configuration demands " + shape_text(entry.shape));
    if (!at::isFloatingType(tensor.scalar_type()))
      throw Error("the tensor " + entry.name + " is of type " +
                  c10::toString(tensor.scalar_type()) + ", but weights are floating-point numbers");
    result.emplace_back(entry.name, tensor);
  }
  return result;
}

// ---- Options from the tensors' shapes.

int64_t size_of(const TensorMap& tensors, const std::string& name, int64_t dimension) {
  const auto entry = tensors.find(name);
  if (entry == tensors.end()) throw Error("this is not a VAE: it lacks the tensor " + name);
  if (entry->second.dim() <= dimension)
    throw Error("the tensor " + name + " has the shape " + shape_text(entry->second.sizes()) +
                ", which no VAE has");
  return entry->second.size(dimension);
}

AutoencoderOptions infer_options(const TensorMap& tensors) {
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

/// Parsed, or "discarded" if it is no JSON.
json parse_config(const fs::path& path) {
  return json::parse(read_text_file(path, longest_config), nullptr, /*allow_exceptions=*/false);
}

bool says_autoencoder(const fs::path& config) {
  std::error_code error;
  if (!fs::is_regular_file(config, error)) return false;
  const json parsed = parse_config(config);
  return parsed.is_object() && parsed.value("_class_name", json()) == "AutoencoderKL";
}

AutoencoderOptions read_config(const fs::path& path) {
  try {
    const json config = parse_config(path);
    if (config.is_discarded()) throw Error("it is not valid JSON");
    return autoencoder_options_from_json(config);
  } catch (const Error& problem) {
    const std::string message = problem.what(), name = path.string();
    if (message.find(name) != std::string::npos) throw;
    throw Error(name + " does not describe a VAE: " + message);
  }
}

StateDict read_tensors(const fs::path& path) {
  {
    const MappedFile file(path);
    if (is_safetensors(file.bytes())) return read_safetensors(file.bytes(), path.string()).tensors;
  }
  return to_state_dict(load_torch_file(path));
}

fs::path weights_in(const fs::path& folder) {
  std::error_code error;
  for (const char* name : weight_files)
    if (fs::exists(folder / name, error)) return folder / name;
  throw Error("the folder '" + folder.string() + "' holds no VAE: it has neither " +
              weight_files[0] + " nor " + weight_files[1]);
}

}  // namespace

StateDict check_autoencoder_tensors(const AutoencoderOptions& options, const StateDict& state) {
  return check_tensors(options, with_current_names(state));
}

AutoencoderFiles find_autoencoder_files(const fs::path& path) {
  std::error_code error;
  const fs::path beside = path.parent_path() / "config.json";
  if (!fs::is_directory(path, error)) {
    if (!fs::exists(path, error)) throw Error("there is no VAE at '" + path.string() + "'");
    return {path, says_autoencoder(beside) ? std::optional(beside) : std::nullopt};
  }
  const fs::path weights = weights_in(path), config = path / "config.json";
  if (!fs::exists(config, error))
    throw Error("the folder '" + path.string() + "' has no config.json that describes its VAE");
  return {weights, config};
}

AutoencoderWeights load_autoencoder(const AutoencoderFiles& files) {
  std::optional<AutoencoderOptions> options;
  if (files.config) options = read_config(*files.config);
  try {
    const TensorMap tensors = with_current_names(read_tensors(files.weights));
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
