#include "metrics/dinov2_weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "data/copy_names.h"
#include "edm2/core/error.h"
#include "metrics/weights.h"

namespace edm2 {
namespace {

void replace(std::string& name, std::string_view from, std::string_view to) {
  const size_t at = name.find(from);
  if (at != std::string::npos) name.replace(at, from.size(), to);
}

/// blocks.CHUNK.INDEX.rest -> blocks.INDEX.rest: large models were trained with their blocks in
/// chunks.
void drop_chunk(std::string& name) {
  constexpr std::string_view prefix = "blocks.";
  if (!name.starts_with(prefix)) return;
  const size_t first = name.find('.', prefix.size());
  const size_t second = first == std::string::npos ? first : name.find('.', first + 1);
  if (second == std::string::npos) return;
  if (all_digits(std::string_view(name).substr(first + 1, second - first - 1)))
    name.erase(prefix.size(), first + 1 - prefix.size());
}

/// Hugging Face's names -> Meta's; queries, keys and values become one.
StateDict from_hugging_face(const StateDict& state) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 12> renamed = {
      {{"embeddings.cls_token", "cls_token"},
       {"embeddings.register_tokens", "register_tokens"},
       {"embeddings.position_embeddings", "pos_embed"},
       {"embeddings.patch_embeddings.projection.", "patch_embed.proj."},
       {"encoder.layer.", "blocks."},
       {"attention.output.dense.", "attn.proj."},
       {"layer_scale1.lambda1", "ls1.gamma"},
       {"layer_scale2.lambda1", "ls2.gamma"},
       {"mlp.weights_in.", "mlp.w12."},
       {"mlp.weights_out.", "mlp.w3."},
       {"attention.attention.query.", "attn.qkv."},
       {"layernorm.", "norm."}}};
  StateDict result;
  for (const auto& [name, tensor] : state) {
    if (name.find("attention.attention.key.") != std::string::npos ||
        name.find("attention.attention.value.") != std::string::npos)
      continue;
    std::string known = name;
    Tensor value = tensor;
    if (const size_t query = name.find(".query."); query != std::string::npos) {
      std::array<Tensor, 3> parts = {tensor};
      for (const size_t i : {1, 2}) {
        std::string other = name;
        other.replace(query, 7, i == 1 ? ".key." : ".value.");
        parts[i] = find_tensor(state, other);
        if (!parts[i].defined() || parts[i].sizes() != tensor.sizes())
          throw Error("the weights lack '" + other + "', or it has another shape than the query");
      }
      value = at::cat(parts);
    }
    for (const auto& [from, to] : renamed) replace(known, from, to);
    result.emplace_back(std::move(known), std::move(value));
  }
  return result;
}

StateDict with_known_names(StateDict state) {
  for (const auto& [name, tensor] : state) {
    for (const char* known : {"embeddings.cls_token", "cls_token"}) {
      if (!name.ends_with(known)) continue;
      const bool hugging_face = std::string_view(known).starts_with("embeddings");
      const std::string prefix = name.substr(0, name.size() - std::string_view(known).size());
      strip_prefix(state, prefix);
      if (hugging_face) return from_hugging_face(state);
      for (auto& entry : state) drop_chunk(entry.first);
      return state;
    }
  }
  throw Error("this is no DINOv2 vision transformer: it has no 'cls_token'");
}

bool is_square(int64_t number) {
  const auto root = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(number))));
  return root * root == number;
}

int64_t count_blocks(const StateDict& state) {
  int64_t count = 0;
  while (find_tensor(state, "blocks." + std::to_string(count) + ".norm1.weight").defined()) ++count;
  if (count == 0) throw Error("the weights have no transformer blocks");
  return count;
}

class Reader {
 public:
  explicit Reader(const StateDict& state) : state_(state) {}

  Tensor get(const std::string& name, at::IntArrayRef shape) const {
    return require_tensor(state_, name, shape);
  }
  bool has(const std::string& name) const { return find_tensor(state_, name).defined(); }
  /// Throws if it has no such axis, or nothing along it.
  int64_t size(const std::string& name, int64_t axis) const {
    const Tensor tensor = find_tensor(state_, name);
    if (!tensor.defined()) throw Error("the weights lack '" + name + "'");
    if (axis >= tensor.dim() || tensor.numel() == 0)
      throw Error("the weight '" + name + "' has an impossible shape");
    return tensor.size(axis);
  }
  DinoWeights::Norm norm(const std::string& name, int64_t dim) const {
    return {get(name + ".weight", {dim}), get(name + ".bias", {dim})};
  }
  DinoWeights::Linear linear(const std::string& name, int64_t in, int64_t out) const {
    return {get(name + ".weight", {out, in}), get(name + ".bias", {out})};
  }

 private:
  const StateDict& state_;
};

/// y = scale * (W x + b) as one linear layer.
DinoWeights::Linear scaled(const DinoWeights::Linear& linear, const Tensor& scale) {
  return {linear.weight * scale.unsqueeze(1), linear.bias * scale};
}

/// The MLP's layers: Meta calls those of a gated one w12 and w3, timm fc1 and fc2, where fc2 takes
/// half of what fc1 makes.
struct MlpShape {
  std::string first, second;
  int64_t made, taken;
  bool gated() const { return taken * 2 == made; }
};

MlpShape mlp_shape(const Reader& reader, const std::string& prefix) {
  const bool official_gate = reader.has(prefix + "w12.weight");
  MlpShape mlp{prefix + (official_gate ? "w12" : "fc1"), prefix + (official_gate ? "w3" : "fc2"), 0,
               0};
  mlp.made = reader.size(mlp.first + ".weight", 0);
  mlp.taken = reader.size(mlp.second + ".weight", 1);
  return mlp;
}

DinoWeights::Block read_block(const Reader& reader, const std::string& prefix, int64_t dim,
                              const MlpShape& shape_of_first) {
  const MlpShape mlp = mlp_shape(reader, prefix + "mlp.");
  if (mlp.made != shape_of_first.made || mlp.taken != shape_of_first.taken)
    throw Error("the MLPs of the blocks differ in size");
  return {
      reader.norm(prefix + "norm1", dim),
      reader.norm(prefix + "norm2", dim),
      reader.linear(prefix + "attn.qkv", dim, 3 * dim),
      scaled(reader.linear(prefix + "attn.proj", dim, dim),
             reader.get(prefix + "ls1.gamma", {dim})),
      reader.linear(mlp.first, dim, mlp.made),
      scaled(reader.linear(mlp.second, mlp.taken, dim), reader.get(prefix + "ls2.gamma", {dim}))};
}

}  // namespace

std::string DinoWeights::name() const {
  struct Known {
    int64_t dim;
    size_t depth;
    const char* size;
  };
  constexpr Known known[] = {{384, 12, "S"}, {768, 12, "B"}, {1024, 24, "L"}, {1536, 40, "g"}};
  const auto found = std::find_if(std::begin(known), std::end(known), [&](const Known& size) {
    return size.dim == dim() && size.depth == blocks.size();
  });
  const std::string patches = std::to_string(patch.weight.size(3));
  std::string text = found != std::end(known)
                         ? std::string("ViT-") + found->size + "/" + patches
                         : "vision transformer of " + std::to_string(dim()) + " dimensions, " +
                               std::to_string(blocks.size()) + " blocks and patches of " + patches;
  if (registers.defined())
    text += " with " + std::to_string(registers.size(0)) +
            (registers.size(0) == 1 ? " register" : " registers");
  return text;
}

bool DinoWeights::is_customary() const { return name() == "ViT-L/14"; }

DinoWeights dinov2_weights(const StateDict& original) {
  const StateDict state = with_known_names(original);
  const Reader reader(state);

  DinoWeights weights;
  const int64_t dim = reader.size("cls_token", 2);
  const int64_t patch = reader.size("patch_embed.proj.weight", 3);
  const int64_t tokens = reader.size("pos_embed", 1);
  const Tensor positions = reader.get("pos_embed", {1, tokens, dim})[0];  // [1+T,D] or [T,D]
  weights.class_token = reader.get("cls_token", {1, 1, dim})[0][0];
  if (is_square(tokens)) {  // timm's files with registers: the class token has its position already
    weights.positions = positions;
  } else {
    weights.class_token = weights.class_token + positions[0];
    weights.positions = positions.narrow(0, 1, tokens - 1).contiguous();
  }
  for (const char* name : {"register_tokens", "reg_token"})
    if (reader.has(name)) weights.registers = reader.get(name, {1, reader.size(name, 1), dim})[0];
  weights.patch = {reader.get("patch_embed.proj.weight", {dim, 3, patch, patch}),
                   reader.get("patch_embed.proj.bias", {dim})};
  const MlpShape mlp = mlp_shape(reader, "blocks.0.mlp.");
  weights.gated = mlp.gated();
  if (!weights.gated && mlp.taken != mlp.made)
    throw Error("the layers of the MLP in the blocks do not fit together");
  for (int64_t i = 0; i < count_blocks(state); ++i)
    weights.blocks.push_back(read_block(reader, "blocks." + std::to_string(i) + ".", dim, mlp));
  weights.norm = reader.norm("norm", dim);
  return weights;
}

}  // namespace edm2
