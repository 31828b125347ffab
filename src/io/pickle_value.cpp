#include <ATen/ATen.h>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"
#include "io/pickle_node.h"

namespace edm2 {
using namespace detail;

namespace {

[[noreturn]] void wrong_kind(const PickleValue& value, const char* expected) {
  throw Error(std::string("expected ") + expected + ", found " + value.kind_name());
}

PickleKey key_of(const PickleValue& key) {
  switch (key.kind()) {
    case PickleValue::Kind::none:
      return {};
    case PickleValue::Kind::boolean:
    case PickleValue::Kind::integer:
      return {.tag = 'i', .text = {}, .integer = key.as_int()};
    case PickleValue::Kind::real:
      if (key.as_double() != key.as_double()) throw Error("not-a-number cannot be a key of a dict");
      return {.tag = 'f', .text = {}, .real = key.as_double()};
    case PickleValue::Kind::string:
      return {.tag = 's', .text = key.as_string()};
    case PickleValue::Kind::bytes:
      return {.tag = 'b', .text = key.as_bytes()};
    case PickleValue::Kind::tuple:
    case PickleValue::Kind::global:  // by identity: good enough for what nobody looks up
      return {.tag = 'o', .text = {}, .integer = reinterpret_cast<intptr_t>(key.node().get())};
    default:
      throw Error(key.kind_name() + " cannot be a key of a dict");
  }
}

std::string key_text(const PickleValue& key) {
  constexpr size_t longest = 100;
  if (key.is_string()) return '"' + key.as_string().substr(0, longest) + '"';
  if (key.kind() == PickleValue::Kind::integer) return std::to_string(key.as_int());
  if (key.is_number()) return std::to_string(key.as_double());
  return key.kind_name();
}

template <class T>
T& require(const PickleValue& value, const char* expected) {
  T* data = pickle_as<T>(value);
  if (!data) wrong_kind(value, expected);
  return *data;
}

PickleObject& require_object(const PickleValue& value) {
  PickleObject* object = pickle_object(value);
  if (!object) wrong_kind(value, "an object");
  return *object;
}

PickleValue make_sequence(PickleValue::Kind kind, std::vector<PickleValue> elements) {
  return make_pickle(PickleSequence{kind, std::move(elements)});
}

}  // namespace

PickleValue PickleValue::from_bool(bool value) { return make_pickle(value); }
PickleValue::PickleValue(int value) : PickleValue(int64_t{value}) {}
PickleValue::PickleValue(int64_t value) : PickleValue(make_pickle(value)) {}
PickleValue::PickleValue(double value) : PickleValue(make_pickle(value)) {}
PickleValue::PickleValue(const char* text) : PickleValue(std::string_view(text)) {}
PickleValue::PickleValue(std::string_view text)
    : PickleValue(make_pickle(PickleString{std::string(text)})) {}
PickleValue::PickleValue(const std::string& text) : PickleValue(std::string_view(text)) {}
PickleValue::PickleValue(const Tensor& tensor, TensorType type)
    : PickleValue(make_pickle(PickleTensor{tensor, type})) {
  TORCH_CHECK(tensor.defined(), "[PickleValue] the tensor must be defined");
}

PickleValue PickleValue::dict(DictType type) { return make_pickle(PickleDict{type, {}, {}}); }

PickleValue PickleValue::dict(std::initializer_list<Item> items, DictType type) {
  PickleValue result = dict(type);
  for (const auto& [key, value] : items) result.set(key, value);
  return result;
}

PickleValue PickleValue::list(std::vector<PickleValue> elements) {
  return make_sequence(Kind::list, std::move(elements));
}
PickleValue PickleValue::tuple(std::vector<PickleValue> elements) {
  return make_sequence(Kind::tuple, std::move(elements));
}
PickleValue PickleValue::set(std::vector<PickleValue> elements) {
  return make_sequence(Kind::set, std::move(elements));
}

PickleValue PickleValue::bytes(std::string data) {
  return make_pickle(PickleBytes{SharedBytes(std::move(data)), /*independent=*/true});
}

PickleValue PickleValue::global(std::string module, std::string name) {
  return make_pickle(
      std::make_unique<PickleGlobal>(PickleGlobal{std::move(module), std::move(name), nullptr}));
}

PickleValue PickleValue::module(std::string module, std::string class_name, PickleValue state) {
  return make_pickle(std::make_unique<PickleObject>(
      PickleObject{std::move(module), std::move(class_name), {}, std::move(state)}));
}

PickleValue PickleValue::persistent(std::string class_name, PickleValue state, std::string source) {
  return make_pickle(std::make_unique<PickleObject>(
      PickleObject{{}, std::move(class_name), PickleValue(source), std::move(state)}));
}

PickleValue::Kind PickleValue::kind() const {
  // In the order of PickleNode::Data.
  constexpr Kind kinds[] = {Kind::boolean, Kind::integer, Kind::real,   Kind::big_integer,
                            Kind::string,  Kind::bytes,   Kind::list,   Kind::dict,
                            Kind::tensor,  Kind::storage, Kind::object, Kind::global,
                            Kind::global,  Kind::global};
  static_assert(std::size(kinds) == std::variant_size_v<PickleNode::Data>);
  if (!node_) return Kind::none;
  const auto* sequence = pickle_as<PickleSequence>(*this);
  return sequence ? sequence->kind : kinds[node_->data.index()];
}

std::string PickleValue::kind_name() const {
  // In the order of Kind.
  constexpr const char* names[] = {
      "None",     "a bool",   "an integer", "an integer beyond 64 bits",
      "a float",  "a string", "bytes",      "a list",
      "a tuple",  "a set",    "a dict",     "a tensor",
      "a storage"};
  if (const PickleObject* object = pickle_object(*this))
    return "a " + object->class_name + " object";
  if (const PickleGlobal* global = pickle_global(*this))
    return "the class " + global->module + "." + global->name;
  if (kind() == Kind::global) return "a numpy dtype";
  if (is_tensor() && tensor_type() == TensorType::ndarray) return "an array";
  return names[static_cast<size_t>(kind())];
}

bool PickleValue::is_number() const {
  return kind() == Kind::boolean || kind() == Kind::integer || kind() == Kind::real;
}

bool PickleValue::as_bool() const {
  if (const bool* value = pickle_as<bool>(*this)) return *value;
  const int64_t* integer = pickle_as<int64_t>(*this);
  if (!integer || *integer < 0 || *integer > 1) wrong_kind(*this, "a bool");
  return *integer == 1;
}

int64_t PickleValue::as_int() const {
  if (const bool* value = pickle_as<bool>(*this)) return *value;
  return require<int64_t>(*this, "an integer");
}

double PickleValue::as_double() const {
  if (const double* real = pickle_as<double>(*this)) return *real;
  if (!is_number()) wrong_kind(*this, "a number");
  return static_cast<double>(as_int());
}

const std::string& PickleValue::as_string() const {
  return require<PickleString>(*this, "a string").text;
}

std::string_view PickleValue::as_bytes() const {
  return require<PickleBytes>(*this, "bytes").bytes.text();
}

const Tensor& PickleValue::as_tensor() const {
  return require<PickleTensor>(*this, "a tensor").tensor;
}

PickleValue::TensorType PickleValue::tensor_type() const {
  return require<PickleTensor>(*this, "a tensor").type;
}

const std::vector<PickleValue>& PickleValue::elements() const {
  return require<PickleSequence>(*this, "a list or tuple").elements;
}

std::vector<int64_t> PickleValue::as_ints() const {
  std::vector<int64_t> result;
  result.reserve(elements().size());
  for (const PickleValue& element : elements()) result.push_back(element.as_int());
  return result;
}

std::vector<double> PickleValue::as_doubles() const {
  std::vector<double> result;
  result.reserve(elements().size());
  for (const PickleValue& element : elements()) result.push_back(element.as_double());
  return result;
}

void PickleValue::append(PickleValue element) {
  if (kind() != Kind::list) wrong_kind(*this, "a list");
  pickle_as<PickleSequence>(*this)->elements.push_back(std::move(element));
}

const std::vector<PickleValue::Item>& PickleValue::items() const {
  return require<PickleDict>(*this, "a dict").items;
}

PickleValue::DictType PickleValue::dict_type() const {
  return require<PickleDict>(*this, "a dict").type;
}

size_t PickleValue::size() const { return is_dict() ? items().size() : elements().size(); }

void PickleValue::set(PickleValue key, PickleValue value) {
  auto& dict = require<PickleDict>(*this, "a dict");
  const auto [position, is_new] = dict.index.try_emplace(key_of(key), dict.items.size());
  if (is_new)
    dict.items.emplace_back(std::move(key), std::move(value));
  else
    dict.items[position->second].second = std::move(value);
}

const PickleValue* PickleValue::find(const PickleValue& key) const {
  const auto& dict = require<PickleDict>(*this, "a dict");
  const auto position = dict.index.find(key_of(key));
  return position == dict.index.end() ? nullptr : &dict.items[position->second].second;
}

const PickleValue& PickleValue::at(const PickleValue& key) const {
  const PickleValue* value = find(key);
  if (!value) throw Error("the key " + key_text(key) + " is missing");
  return *value;
}

const std::string& PickleValue::module_name() const {
  if (const PickleGlobal* global = pickle_global(*this)) return global->module;
  return require_object(*this).module;
}

const std::string& PickleValue::class_name() const {
  if (const PickleGlobal* global = pickle_global(*this)) return global->name;
  return require_object(*this).class_name;
}

const PickleValue& PickleValue::state() const { return require_object(*this).state; }
const std::string& PickleValue::source() const {
  static const std::string nothing;
  const PickleValue& source = require_object(*this).source;
  return source.is_string() ? source.as_string() : nothing;
}

PickleValue to_pickle(const StateDict& state) {
  PickleValue result = PickleValue::ordered_dict();
  for (const auto& [name, tensor] : state) result.set(name, tensor);
  return result;
}

StateDict to_state_dict(const PickleValue& dict) {
  StateDict result;
  result.reserve(dict.items().size());
  for (const auto& [name, tensor] : dict.items()) {
    if (!tensor.is_tensor())
      throw Error("expected a tensor under the key " + key_text(name) + ", found " +
                  tensor.kind_name());
    result.emplace_back(name.as_string(), tensor.as_tensor());
  }
  return result;
}

}  // namespace edm2
