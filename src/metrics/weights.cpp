#include "metrics/weights.h"

#include <ATen/ATen.h>

#include <cstring>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/pickle.h"
#include "edm2/io/safetensors.h"
#include "edm2/io/torch_file.h"
#include "io/foreign_content.h"

namespace edm2 {
namespace {

constexpr int deepest_module = 20;
constexpr size_t most_values = 100'000;

class TensorCollector {
 public:
  StateDict tensors;

  void walk(const PickleValue& value, const std::string& name, int depth = 0) {
    if (depth > deepest_module || ++values_ > most_values)
      throw Error("the file has too many values for a detector");
    if (value.is_tensor()) tensors.emplace_back(name, value.as_tensor());
    const PickleValue& state = value.is_object() ? value.state() : value;
    if (!state.is_dict()) return;
    for (const auto& [key, child] : state.items()) {
      if (!key.is_string()) continue;
      const std::string& part = key.as_string();
      // Python's modules keep their attributes by kind.
      const bool is_kind = part == "_parameters" || part == "_buffers" || part == "_modules";
      walk(child, is_kind ? name : name.empty() ? part : name + '.' + part, depth + 1);
    }
  }

 private:
  size_t values_ = 0;
};

StateDict read(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto contents = file.bytes();
  if (is_safetensors(contents)) return read_safetensors(contents, path.string()).tensors;
  // The original's detectors are plain pickles; torch's files of before 1.6 begin in the same way
  // and are told by their magic number.
  constexpr unsigned char legacy_magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46};
  const auto begins_with = [&](const void* magic, size_t size) {
    return contents.size() >= size && std::memcmp(contents.data(), magic, size) == 0;
  };
  if (!begins_with("PK\x03\x04", 4) && !begins_with("\x80", 1))
    throw Error("this is no file of weights (neither a torch file nor a pickle nor safetensors)" +
                in_brackets(describe_file(path)));
  const bool is_torch =
      begins_with("PK\x03\x04", 4) || begins_with(legacy_magic, sizeof legacy_magic);
  TensorCollector collector;
  collector.walk(is_torch ? load_torch_file(path) : read_pickle(contents, path.string()), "");
  return std::move(collector.tensors);
}

std::string shape_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

StateDict read_weights(const std::filesystem::path& path) {
  try {
    StateDict state = read(path);
    if (state.empty()) throw Error("the file holds no weights");
    return state;
  } catch (const Error& error) {
    const std::string message = error.what(), name = path.string();
    if (message.find(name) != std::string::npos) throw;
    throw Error(name + ": " + message);
  }
}

void strip_prefix(StateDict& state, const std::string& prefix) {
  for (auto& [name, tensor] : state)
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
}

Tensor require_tensor(const StateDict& state, const std::string& name, at::IntArrayRef shape) {
  const Tensor tensor = find_tensor(state, name);
  if (!tensor.defined()) throw Error("the weights lack '" + name + "'");
  if (tensor.sizes() != shape)
    throw Error("the weight '" + name + "' has the shape " + shape_text(tensor.sizes()) +
                " instead of " + shape_text(shape));
  if (!at::isFloatingType(tensor.scalar_type()))
    throw Error("the weight '" + name + "' does not consist of floating-point numbers");
  return tensor.to(at::kFloat).contiguous();
}

}  // namespace edm2
