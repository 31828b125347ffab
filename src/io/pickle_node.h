// What a PickleValue refers to.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "edm2/io/pickle.h"

namespace edm2::detail {

struct PickleString {
  std::string text;
};

struct PickleBytes {
  SharedBytes bytes;         // while reading, often a part of the input
  bool independent = false;  // they have memory of their own

  void own() {
    if (independent) return;
    bytes = SharedBytes(std::string(bytes.text()));
    independent = true;
  }
};

struct PickleBigInteger {
  std::string little_endian;  // two's complement
};

struct PickleSequence {
  PickleValue::Kind kind;  // list, tuple or set
  std::vector<PickleValue> elements;
};

// Equal keys compare equal; the text belongs to the key's node, which the dict keeps alive.
struct PickleKey {
  char tag = 'n';
  std::string_view text;
  double real = 0;
  int64_t integer = 0;

  bool operator<(const PickleKey& other) const {
    return std::tie(tag, integer, real, text) <
           std::tie(other.tag, other.integer, other.real, other.text);
  }
};

struct PickleDict {
  PickleValue::DictType type;
  std::vector<PickleValue::Item> items;
  std::map<PickleKey, size_t> index;
};

struct PickleTensor {
  Tensor tensor;
  PickleValue::TensorType type;
};

struct PickleStorage {
  Tensor data;           // one-dimensional
  bool untyped = false;  // bytes that a tensor gives a type
};

struct PickleObject {
  std::string module, class_name;
  PickleValue source;  // a string, which many objects share, or None
  PickleValue state;
};

struct PickleGlobal {
  std::string module, name;
  const struct KnownGlobal* known = nullptr;  // entry of the allow-list, when read from a pickle
};

// numpy's dtype, and an array between its construction and its BUILD: only while reading.
struct PickleDtype {
  at::ScalarType type;
};
struct PickleEmptyArray {};

struct PickleNode {
  using Data = std::variant<bool, int64_t, double, PickleBigInteger, PickleString, PickleBytes,
                            PickleSequence, PickleDict, PickleTensor, PickleStorage,
                            std::unique_ptr<PickleObject>, std::unique_ptr<PickleGlobal>,
                            PickleDtype, PickleEmptyArray>;
  Data data;
};

template <class T>
PickleValue make_pickle(T data) {
  return PickleValue(std::make_shared<PickleNode>(PickleNode{std::move(data)}));
}

// The value as one of the structs above, or nullptr.
template <class T>
T* pickle_as(const PickleValue& value) {
  return value.node() ? std::get_if<T>(&value.node()->data) : nullptr;
}
inline PickleObject* pickle_object(const PickleValue& value) {
  auto* object = pickle_as<std::unique_ptr<PickleObject>>(value);
  return object ? object->get() : nullptr;
}
inline PickleGlobal* pickle_global(const PickleValue& value) {
  auto* global = pickle_as<std::unique_ptr<PickleGlobal>>(value);
  return global ? global->get() : nullptr;
}

}  // namespace edm2::detail
