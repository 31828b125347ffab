// Snapshots of the original: pickles of persistent objects. Only their states are read.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <type_traits>
#include <unordered_set>

#include "edm2/core/error.h"
#include "edm2/nn/state_report.h"
#include "nn/network_fields.h"
#include "nn/snapshot_formats.h"
#include "nn/source_text.h"
#include "nn/unet_plan.h"

namespace edm2 {
namespace {

constexpr int deepest_module = 8;  // Precond, UNet, ModuleDict, Block, MPConv are five
constexpr size_t most_modules = 100'000;

// (Names come by value in both: GCC takes results that are references for parts of temporaries.)
const PickleValue& object_state(const PickleValue& object, std::string_view what) {
  if (!object.is_object() || !object.state().is_dict())
    throw Error(std::string(what) + " is " + object.kind_name() +
                " instead of an object with attributes");
  return object.state();
}

const PickleValue& attribute(const PickleValue& state, std::string_view name) {
  return state.at(name);
}

// ---- Networks of others

// What the objects of a network have that the original's have not.
class UnusualParts {
 public:
  void look_at(const PickleValue& object) {
    if (!object.module_name().empty()) return;
    if (sources_.insert(object.source()).second)
      for (std::string& words : unusual_in_source(object.source())) add(std::move(words));
    if (!is_known_class(object.class_name()))
      add("it has a part of the class '" + printable_name(object.class_name()) + "'");
    const PickleValue* arguments = object.state().find("_init_kwargs");
    if (!arguments || !arguments->is_dict()) return;
    for (const auto& [name, value] : arguments->items())
      if (name.is_string() && !is_known_argument(name.as_string()))
        add("its " + printable_name(object.class_name()) + " was given the argument '" +
            printable_name(name.as_string()) + "'");
  }

  // A sentence, or "".
  std::string sentence() const {
    if (found_.empty()) return "";
    const std::string more =
        found_.size() > 1 ? " and " + std::to_string(found_.size() - 1) + " more" : "";
    return "the network is not of the known releases (" + found_.front() + more +
           "): it may compute something else than is computed here";
  }

 private:
  void add(std::string words) {
    if (std::find(found_.begin(), found_.end(), words) == found_.end())
      found_.push_back(std::move(words));
  }

  std::unordered_set<std::string_view> sources_;  // the objects keep them
  std::vector<std::string> found_;
};

// ---- Tensors

class ModuleWalker {
 public:
  StateDict tensors;
  UnusualParts unusual;

  void walk(const PickleValue& module, const std::string& prefix, int depth = 0) {
    if (depth > deepest_module || ++modules_ > most_modules)
      throw Error("the network has too many modules");
    const PickleValue& state = object_state(module, prefix.empty() ? "the network" : prefix);
    unusual.look_at(module);
    for (const char* group : {"_parameters", "_buffers"}) {
      if (const PickleValue* named = state.find(group))
        for (const auto& [name, value] : named->items()) add(prefix + name.as_string(), value);
    }
    if (const PickleValue* children = state.find("_modules"))
      for (const auto& [name, child] : children->items())
        if (!child.is_none()) walk(child, prefix + name.as_string() + '.', depth + 1);
  }

 private:
  void add(const std::string& name, const PickleValue& value) {
    if (value.is_none()) return;
    if (!value.is_tensor()) throw Error(name + " is " + value.kind_name() + ", not a tensor");
    tensors.emplace_back(name, value.as_tensor());
  }
  size_t modules_ = 0;
};

// ---- Options

void read_value(const PickleValue& value, bool& member) { member = value.as_bool(); }
void read_value(const PickleValue& value, int64_t& member) { member = value.as_int(); }
void read_value(const PickleValue& value, double& member) { member = value.as_double(); }
void read_value(const PickleValue& value, std::vector<int64_t>& member) {
  member = value.as_ints();
}
void read_value(const PickleValue& value, std::vector<double>& member) {
  member = value.as_doubles();
}
template <class T>
void read_value(const PickleValue& value, std::optional<T>& member) {
  member.reset();
  if (!value.is_none()) read_value(value, member.emplace());
}

// Copies what `dict` records: constructor arguments or attributes. Of `names`, or of all fields.
void read_fields(const PickleValue& dict, NetworkOptions& options,
                 std::initializer_list<std::string_view> names = {}) {
  for_each_field(options, [&](const char* name, auto& member) {
    const bool wanted =
        names.size() == 0 || std::find(names.begin(), names.end(), name) != names.end();
    const PickleValue* value = wanted ? dict.find(name) : nullptr;
    if (!value) return;
    try {
      read_value(*value, member);
    } catch (const Error& error) {
      throw Error(std::string("the network option ") + name + ": " + error.what());
    }
  });
}

// The recorded constructor arguments, if they are complete.
const PickleValue* constructor_arguments(const PickleValue& state) {
  const PickleValue* positional = state.find("_init_args");
  const PickleValue* named = state.find("_init_kwargs");
  const bool complete = named && named->is_dict() &&
                        (!positional || positional->is_none() || positional->size() == 0);
  return complete ? named : nullptr;
}

struct BlockRecord {
  std::string name;  // "enc.16x16_block0"
  HeadCount heads;
};

// Reads what every block repeats, and checks that all blocks agree but for dropout, which nothing
// but training looks at.
std::vector<BlockRecord> read_blocks(const PickleValue& unet, NetworkOptions& options,
                                     std::vector<std::string>& notes) {
  std::vector<BlockRecord> records;
  bool is_first = true;
  std::set<double> dropouts;
  for (const char* part : {"enc", "dec"}) {
    const PickleValue& blocks =
        attribute(object_state(attribute(attribute(unet, "_modules"), part), part), "_modules");
    for (const auto& [key, block] : blocks.items()) {
      if (!block.is_object() || block.class_name() != "Block") continue;
      const std::string name = std::string(part) + '.' + key.as_string();
      const PickleValue& state = object_state(block, name);
      NetworkOptions own = options;
      read_fields(state, own,
                  {"resample_filter", "dropout", "res_balance", "attn_balance", "clip_act"});
      dropouts.insert(own.dropout);
      if (is_first) options = own;
      own.dropout = options.dropout;
      if (own != options) throw Error("the block " + name + " has other options than the first");
      is_first = false;
      const PickleValue *channels = state.find("out_channels"), *heads = state.find("num_heads");
      if (channels && heads) records.push_back({name, {channels->as_int(), heads->as_int()}});
    }
  }
  if (dropouts.size() < 2) return records;
  options.dropout = *dropouts.rbegin();
  const auto text = [](double number) { return nlohmann::json(number).dump(); };
  notes.push_back("the blocks have a dropout of " + text(*dropouts.begin()) + " to " +
                  text(options.dropout) + ", of which " + text(options.dropout) +
                  " is kept for all; it matters for training alone");
  return records;
}

void check_heads(const NetworkOptions& options, const std::vector<BlockRecord>& records) {
  const UNetPlan plan = plan_unet(options);
  std::map<std::string, int64_t> planned;
  for (const BlockPlan& block : plan.encoder) planned["enc." + block.name] = block.num_heads;
  for (const BlockPlan& block : plan.decoder) planned["dec." + block.name] = block.num_heads;
  for (const BlockRecord& record : records)
    if (planned[record.name] != record.heads.heads)
      throw Error("the block " + record.name + " has " + std::to_string(record.heads.heads) +
                  " attention heads, but the network's options demand " +
                  std::to_string(planned[record.name]));
}

void read_network(const PickleValue& precond, Snapshot& snapshot) {
  if (!is_network_object(precond))
    throw Error("\"ema\" is " + precond.kind_name() + " instead of an EDM2 network (Precond)");
  ModuleWalker walker;
  walker.walk(precond, "");
  const PickleValue& outer = precond.state();
  const PickleValue& unet = object_state(attribute(attribute(outer, "_modules"), "unet"), "unet");

  NetworkOptions& options = snapshot.network;
  const PickleValue *outer_arguments = constructor_arguments(outer),
                    *unet_arguments = constructor_arguments(unet);
  if (unet_arguments) read_fields(*unet_arguments, options);
  if (outer_arguments) read_fields(*outer_arguments, options);
  const std::vector<BlockRecord> blocks = read_blocks(unet, options, snapshot.notes);
  if (!outer_arguments) {
    std::vector<HeadCount> heads;
    for (const BlockRecord& block : blocks)
      if (block.heads.heads > 0) heads.push_back(block.heads);
    infer_structure(walker.tensors, heads, options);
  }
  read_fields(outer, options,
              {"img_resolution", "img_channels", "label_dim", "use_fp16", "sigma_data"});
  read_fields(unet, options, {"label_balance", "concat_balance"});
  options.has_logvar = has_uncertainty_head(walker.tensors);
  if (const std::string note = walker.unusual.sentence(); !note.empty())
    snapshot.notes.push_back(note);
  snapshot.tensors = check_tensors(options, walker.tensors);
  check_heads(options, blocks);
}

// ---- The rest

std::vector<float> read_floats(const PickleValue& array, const char* name) {
  const Tensor values = array.as_tensor().to(at::kFloat).contiguous();
  if (values.dim() != 1 || !at::isfinite(values).all().item<bool>())
    throw Error(std::string("the encoder's ") + name + " is not a list of finite numbers");
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
}

EncoderOptions read_encoder(const PickleValue& encoder) {
  EncoderOptions options;
  if (encoder.is_none()) return options;
  const PickleValue& state = object_state(encoder, "the encoder");
  if (encoder.class_name() == "StandardRGBEncoder") {
    const PickleValue* identity = state.find("identity");
    if (identity && identity->as_bool()) options.kind = EncoderOptions::Kind::none;
    return options;
  }
  if (encoder.class_name() != "StabilityVAEEncoder")
    throw Error("the snapshot needs the unknown encoder " + encoder.class_name());
  options.kind = EncoderOptions::Kind::stability_vae;
  options.vae_name = state.at("vae_name").as_string();
  options.scale = read_floats(state.at("scale"), "scale");
  options.bias = read_floats(state.at("bias"), "bias");
  if (const PickleValue* batch_size = state.find("batch_size"))
    options.batch_size = batch_size->as_int();
  return options;
}

std::optional<DatasetOptions> read_dataset(const PickleValue& dataset) {
  if (!dataset.is_dict()) return std::nullopt;
  const PickleValue *path = dataset.find("path"), *use_labels = dataset.find("use_labels");
  if (!path || !path->is_string()) return std::nullopt;
  DatasetOptions options{path->as_string()};
  if (use_labels) options.use_labels = use_labels->as_bool();
  const PickleValue* label_kind = dataset.find("label_kind");
  options.vector_labels =
      label_kind && label_kind->is_string() && label_kind->as_string() == "vector";
  return options;
}

std::optional<LossOptions> read_loss(const PickleValue& loss) {
  if (!loss.is_object() || loss.class_name() != "EDM2Loss") return std::nullopt;
  const PickleValue& state = object_state(loss, "the loss");
  return LossOptions{state.at("P_mean").as_double(), state.at("P_std").as_double(),
                     state.at("sigma_data").as_double()};
}

// The only network in a pickle of something else: a whole module, alone or by another name.
const PickleValue* only_network(const PickleValue& root, std::vector<std::string>& notes) {
  if (is_network_object(root)) return &root;
  if (!root.is_dict()) return nullptr;
  const PickleValue* found = nullptr;
  std::string names;
  for (const auto& [name, value] : root.items()) {
    if (!is_network_object(value) || !name.is_string()) continue;
    if (found)
      throw Error("the file holds several networks, \"" + names + "\" and \"" +
                  printable_name(name.as_string()) +
                  "\", and none is called \"ema\"; write the one that is meant into a file");
    found = &value;
    names = printable_name(name.as_string());
  }
  if (found) notes.push_back("the network is that under \"" + names + "\"");
  return found;
}

}  // namespace

bool is_network_object(const PickleValue& value) {
  return value.is_object() && value.class_name() == "Precond";
}

bool holds_network_object(const PickleValue& root) {
  if (is_network_object(root)) return true;
  if (!root.is_dict()) return false;
  return std::any_of(root.items().begin(), root.items().end(),
                     [](const auto& item) { return is_network_object(item.second); });
}

std::set<std::string> read_network_options(const PickleValue& dict, NetworkOptions& options) {
  std::set<std::string> names;
  for_each_field(options, [&](const char* name, const auto&) {
    if (dict.find(name)) names.insert(name);
  });
  read_fields(dict, options);
  return names;
}

Snapshot snapshot_from_pickle(const PickleValue& root) {
  Snapshot snapshot;
  const PickleValue* ema = root.is_dict() ? root.find("ema") : nullptr;
  const PickleValue* network = ema ? ema : only_network(root, snapshot.notes);
  if (root.is_dict() && root.find("optimizer") && (!network || network->is_dict()))
    throw Error("this is a training state, not a network snapshot");
  if (!network) throw Error("this is not a network snapshot: it has no \"ema\"");
  read_network(*network, snapshot);
  const auto beside = [&](const char* key) {
    const PickleValue* value = root.is_dict() ? root.find(key) : nullptr;
    return value ? *value : PickleValue();
  };
  snapshot.encoder = read_encoder(beside("encoder"));
  snapshot.dataset = read_dataset(beside("dataset_kwargs"));
  snapshot.loss = read_loss(beside("loss_fn"));
  return snapshot;
}

}  // namespace edm2
