// Snapshots of the toy network as the original's Python program reads and writes them.
#include <ATen/ATen.h>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"
#include "edm2/toy/network.h"

namespace edm2::toy {
namespace {

// The original's loader runs this to find its classes.
constexpr const char* source = "from toy_example import ToyModel, MPLinear, MPSiLU\n";

// The 17 entries that torch gives every module.
PickleValue module_state(PickleValue parameters, PickleValue modules) {
  PickleValue state = PickleValue::dict();
  state.set("training", false);
  state.set("_parameters", std::move(parameters));
  state.set("_buffers", PickleValue::dict());
  state.set("_non_persistent_buffers_set", PickleValue::set());
  state.set("_backward_pre_hooks", PickleValue::ordered_dict());
  state.set("_backward_hooks", PickleValue::ordered_dict());
  state.set("_is_full_backward_hook", {});
  for (const char* name :
       {"_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
        "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
        "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks"})
    state.set(name, PickleValue::ordered_dict());
  state.set("_modules", std::move(modules));
  return state;
}

PickleValue persistent(const char* class_name, PickleValue state, std::vector<PickleValue> args,
                       PickleValue kwargs) {
  state.set("_init_args", PickleValue::tuple(std::move(args)));
  state.set("_init_kwargs", std::move(kwargs));
  return PickleValue::persistent(class_name, std::move(state), source);
}

PickleValue linear(const Tensor& weight) {
  const PickleValue parameters = PickleValue::dict({{"weight", PickleValue::parameter(weight)}});
  return persistent("MPLinear", module_state(parameters, PickleValue::dict()),
                    {weight.size(1), weight.size(0)}, PickleValue::dict());
}

PickleValue activation() {
  return persistent("MPSiLU", module_state(PickleValue::dict(), PickleValue::dict()), {},
                    PickleValue::dict());
}

const PickleValue& state_of(const PickleValue& object, const char* class_name) {
  if (!object.is_object() || object.class_name() != class_name || !object.state().is_dict())
    throw Error(std::string("expected ") + class_name + ", found " +
                (object.is_object() ? object.class_name() : object.kind_name()));
  return object.state();
}

Network read_network(const PickleValue& root) {
  const PickleValue& state = state_of(root, "ToyModel");
  const PickleValue& layers = state_of(state.at("_modules").at("layers"), "Sequential");
  std::vector<Tensor> parameters = {state.at("_parameters").at("gain").as_tensor()};
  for (const auto& [name, layer] : layers.at("_modules").items())
    if (layer.is_object() && layer.class_name() == "MPLinear")
      parameters.push_back(layer.state().at("_parameters").at("weight").as_tensor());
  if (parameters.size() < 2 || parameters[1].dim() != 2) throw Error("it has no layers");
  NetworkOptions options;
  options.num_layers = static_cast<int64_t>(parameters.size()) - 2;
  options.hidden_dim = parameters[1].size(0);
  if (const PickleValue* sigma_data = state.find("sigma_data"))
    options.sigma_data = sigma_data->as_double();
  return {options, std::move(parameters)};
}

}  // namespace

Network load_network(const std::filesystem::path& path) {
  const PickleValue root = read_pickle_file(path);
  try {
    return read_network(root);
  } catch (const Error& error) {
    throw Error("'" + path.string() + "' is not a network of the toy example: " + error.what());
  }
}

void save_network(const std::filesystem::path& path, const Network& network) {
  const auto& parameters = network.parameters();
  PickleValue layers = PickleValue::dict();
  for (size_t i = 1; i < parameters.size(); ++i) {
    if (i > 1) layers.set(std::to_string(layers.size()), activation());
    layers.set(std::to_string(layers.size()), linear(parameters[i].detach()));
  }
  const NetworkOptions& options = network.options();
  const PickleValue sequential =
      PickleValue::module("torch.nn.modules.container", "Sequential",
                          module_state(PickleValue::dict(), std::move(layers)));
  PickleValue state =
      module_state(PickleValue::dict({{"gain", PickleValue::parameter(parameters[0].detach())}}),
                   PickleValue::dict({{"layers", sequential}}));
  state.set("sigma_data", options.sigma_data);
  const PickleValue kwargs = PickleValue::dict({{"num_layers", options.num_layers},
                                                {"hidden_dim", options.hidden_dim},
                                                {"sigma_data", options.sigma_data}});
  write_pickle_file(path, persistent("ToyModel", std::move(state), {}, kwargs));
}

}  // namespace edm2::toy
