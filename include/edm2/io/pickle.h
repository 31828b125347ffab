/// Python pickles without Python: a reader that executes nothing, and a writer.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/io/shared_bytes.h"

namespace edm2 {

namespace detail {
struct PickleNode;
}

/// One Python value. A PickleValue is a reference, as in Python: copies share the same list or
/// dict.
///
/// Values are made by the implicit constructors (`PickleValue(3)`, `"text"`, a tensor) and by the
/// named functions below; they are read by the `as_...` functions, which throw Error ("expected a
/// string, found an integer"). A value must not be put into itself.
class PickleValue {
 public:
  enum class Kind {
    none,
    boolean,
    integer,
    big_integer,  ///< does not fit into 64 bits
    real,
    string,
    bytes,
    list,
    tuple,
    set,
    dict,
    tensor,   ///< torch tensor, parameter or numpy array
    storage,  ///< torch storage: a one-dimensional tensor
    object,   ///< persistent object or torch module: class name and state
    global,   ///< a class or dtype by name, not called
  };
  /// Which dict type Python sees.
  enum class DictType { plain, ordered, easy };
  /// What Python sees where C++ has a tensor.
  enum class TensorType { tensor, parameter, ndarray };
  using Item = std::pair<PickleValue, PickleValue>;

  PickleValue() = default;  ///< None
  template <std::same_as<bool> Bool>
  PickleValue(Bool value) : PickleValue(from_bool(value)) {}  // pointers are no bools
  PickleValue(int value);
  PickleValue(int64_t value);
  PickleValue(double value);
  PickleValue(const char* text);
  PickleValue(std::string_view text);
  PickleValue(const std::string& text);
  /// A tensor of any shape.
  PickleValue(const Tensor& tensor, TensorType type = TensorType::tensor);
  explicit PickleValue(std::shared_ptr<detail::PickleNode> node) : node_(std::move(node)) {}

  /// Containers and other values as Python has them.
  static PickleValue dict(DictType type = DictType::plain);
  static PickleValue dict(std::initializer_list<Item> items, DictType type = DictType::plain);
  static PickleValue ordered_dict() { return dict(DictType::ordered); }
  static PickleValue list(std::vector<PickleValue> elements = {});
  static PickleValue tuple(std::vector<PickleValue> elements = {});
  static PickleValue set(std::vector<PickleValue> elements = {});
  static PickleValue bytes(std::string data);
  static PickleValue parameter(const Tensor& tensor) { return {tensor, TensorType::parameter}; }
  static PickleValue ndarray(const Tensor& tensor) { return {tensor, TensorType::ndarray}; }
  /// A name that the pickle refers to: a class or a function.
  static PickleValue global(std::string module, std::string name);
  /// A torch module that the original pickles by class (e.g. "torch.nn.modules.container",
  /// "ModuleDict"); `state` is its attribute dict.
  static PickleValue module(std::string module, std::string class_name, PickleValue state);
  /// A persistent object of the original: `source` is the Python text that defines the class.
  static PickleValue persistent(std::string class_name, PickleValue state, std::string source);

  /// What Python would call its type.
  Kind kind() const;
  /// "None", "an integer", "a dict", ... for messages.
  std::string kind_name() const;
  bool is_none() const { return kind() == Kind::none; }
  bool is_dict() const { return kind() == Kind::dict; }
  bool is_tensor() const { return kind() == Kind::tensor; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_object() const { return kind() == Kind::object; }
  /// A bool, an integer, or a float.
  bool is_number() const;

  bool as_bool() const;                  ///< a bool, or an integer 0 or 1
  int64_t as_int() const;                ///< an integer or bool
  double as_double() const;              ///< any number
  const std::string& as_string() const;  ///< UTF-8
  std::string_view as_bytes() const;     ///< there as long as the value is
  const Tensor& as_tensor() const;       ///< of any shape; contiguous, on the CPU
  TensorType tensor_type() const;
  /// Elements of a list, tuple or set.
  const std::vector<PickleValue>& elements() const;
  /// Elements of a list or tuple of integers / of numbers.
  std::vector<int64_t> as_ints() const;
  std::vector<double> as_doubles() const;

  void append(PickleValue element);  ///< lists only

  // Dicts: items in order of insertion. Keys are strings, numbers, None, bytes or tuples.
  /// Of a dict; throws Error for other kinds.
  const std::vector<Item>& items() const;
  DictType dict_type() const;
  size_t size() const;  ///< of a dict, list, tuple or set
  void set(PickleValue key, PickleValue value);
  bool contains(const PickleValue& key) const { return find(key) != nullptr; }
  /// The value of the key, or nullptr.
  const PickleValue* find(const PickleValue& key) const;
  /// The value of the key. Throws Error naming the key if it is not there.
  const PickleValue& at(const PickleValue& key) const;

  // Objects and globals.
  const std::string& module_name() const;  ///< "" for persistent objects
  const std::string& class_name() const;
  const PickleValue& state() const;  ///< attribute dict of an object (None if it has none)
  /// Python text of a persistent object: what defines its class. Never run; empty if it has none.
  const std::string& source() const;

  /// The same Python object (not: an equal one).
  bool same_as(const PickleValue& other) const { return node_ == other.node_; }
  const std::shared_ptr<detail::PickleNode>& node() const { return node_; }

 private:
  static PickleValue from_bool(bool value);

  std::shared_ptr<detail::PickleNode> node_;
};

/// An OrderedDict of tensors, as `module.state_dict()` gives, and back. Throws Error.
PickleValue to_pickle(const StateDict& state);
StateDict to_state_dict(const PickleValue& dict);

/// Reads one pickle (protocols 0 to 5). Nothing is executed: only a fixed list of names is known,
/// and any other global is an Error that names it. Lengths are checked against the data before
/// memory is taken. Values that contain themselves are an Error. Bytes after the pickle are
/// ignored. `name` stands in messages.
PickleValue read_pickle(std::span<const std::byte> data, const std::string& name);
PickleValue read_pickle_file(const std::filesystem::path& path);

/// As read_pickle, but the elements of torch tensors are not copied where that can be avoided: such
/// tensors are parts of `data`, which they keep alive, must not be written to, and their elements
/// may stand at addresses that are no multiples of their size (copy the bytes before computing with
/// them). Elements that are not in `data` as they are, such as those of bytes that a pickle of
/// protocol 0 to 2 makes of texts, are copied.
PickleValue view_pickle(const SharedBytes& data, const std::string& name);

/// The contents begin like a pickle: of protocol 2 to 5 by its first byte, of protocol 0 or 1 if
/// what it begins with and its end are those of a dict, a list or an object.
bool is_pickle(std::span<const std::byte> contents);

/// Takes the bytes of a file in order.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// Writes a pickle of protocol 4. Tensors are embedded as the original's snapshots embed them,
/// numpy arrays under the module names that numpy 1 and 2 both know. Shared values are written
/// repeatedly.
void write_pickle(const ByteSink& sink, const PickleValue& value);
/// The same with all elements of torch tensors left out: `write_elements` is called in their place,
/// between the calls of `sink`. The tensors need no memory behind them.
using TensorSink = std::function<void(const Tensor&)>;
void write_pickle(const ByteSink& sink, const PickleValue& value, const TensorSink& write_elements);
/// The whole pickle into a file that appears whole or not at all.
void write_pickle_file(const std::filesystem::path& path, const PickleValue& value);

}  // namespace edm2
