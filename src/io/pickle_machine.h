// The pickle virtual machine and what it shares with the torch containers.
#pragma once

#include <bit>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"
#include "io/pickle_node.h"

namespace edm2::detail {

using Bytes = std::span<const std::byte>;

// What one file may cost, over all pickles nested in it. Also the owner of everything that can hold
// other values, so that hostile files (cycles, deep nesting) neither leak nor overflow the stack
// when they go.
class PickleContext {
 public:
  explicit PickleContext(const SharedBytes& input, bool views = false)
      : input_(input), views_(views), bytes_left_(3 * input.size() + 65536) {}
  ~PickleContext();
  PickleContext(const PickleContext&) = delete;
  PickleContext& operator=(const PickleContext&) = delete;

  // Throw Error when the file asks for more than a file of its size can need.
  void spend_operations(uint64_t count);
  void spend_bytes(uint64_t count);

  // Remembers a value that holds other values.
  PickleValue adopt(PickleValue container);

  // Storages in these bytes stay where they are: views are wanted, and the bytes are the input's
  // own and not what the machine has made.
  bool leaves_in_place(const SharedBytes& bytes) const {
    return views_ && bytes.same_owner(input_);
  }

  // Checks that `root` is acyclic and not too deep, and makes it independent of the input: bytes
  // are copied, tensors made contiguous. Returns root.
  PickleValue finish(PickleValue root);

  int stream_depth = 0;         // 1 inside the bytes of _load_from_bytes
  bool script_classes = false;  // inside of a file that may be a TorchScript archive

 private:
  const SharedBytes input_;
  const bool views_;
  uint64_t operations_left_ = uint64_t{1} << 23;
  uint64_t bytes_left_;
  std::vector<PickleValue> containers_;
};

// Executes the opcodes of one pickle.
class PickleMachine {
 public:
  // Turns the persistent id of a torch storage into the storage.
  using PersistentLoad = std::function<PickleValue(const PickleValue& id)>;

  PickleMachine(SharedBytes data, PickleContext& context, PersistentLoad persistent_load = {})
      : data_(std::move(data)), context_(context), persistent_load_(std::move(persistent_load)) {}

  // Runs to STOP. Throws Error.
  PickleValue run();
  // Bytes used by run().
  size_t consumed() const { return position_; }

 private:
  using Kind = PickleValue::Kind;
  struct Operation {
    uint8_t code;
    void (*run)(PickleMachine& m);
  };
  static const Operation operations[];
  void step(uint8_t code);

  // Input.
  std::string_view take(uint64_t count);
  SharedBytes take_bytes(uint64_t count);
  std::string_view take_line(size_t longest);
  template <class T>
  T take_integer();
  uint64_t take_length(int width);
  double take_double();
  uint64_t take_text_index();

  // Stack.
  void push(PickleValue value) { stack_.push_back(std::move(value)); }
  PickleValue pop();
  PickleValue& top();
  std::vector<PickleValue> pop_to_mark();
  std::vector<PickleValue> pop_many(size_t count);

  void put(uint64_t index);
  void get(uint64_t index);
  void push_integer(std::string_view little_endian);
  void push_decimal(std::string_view text);
  void push_real(std::string_view text);
  void push_sequence(PickleValue::Kind kind, std::vector<PickleValue> elements);
  void push_global(std::string_view module, std::string_view name);
  void append(std::vector<PickleValue> elements);
  void add_items(std::vector<PickleValue> keys_and_values);

  SharedBytes data_;
  size_t position_ = 0;
  PickleContext& context_;
  PersistentLoad persistent_load_;
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;
  std::map<uint64_t, PickleValue> memo_;
};

template <class T>
T PickleMachine::take_integer() {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
  return value;
}

// pickle_globals.cpp: the names a pickle may use, and what calling them means.
// Error if not allowed.
PickleValue find_global(std::string_view module, std::string_view name, const PickleContext&);
PickleValue call_global(const PickleValue& callable, const PickleValue& arguments, PickleContext&);
PickleValue new_object(const PickleValue& cls, const PickleValue& arguments, PickleContext&);
void build_object(PickleValue& object, const PickleValue& state, PickleContext&);
// Dtype of a torch storage class or dtype global; nothing for UntypedStorage. Error for others.
std::optional<at::ScalarType> storage_dtype(const PickleValue& storage_class);
// Sets a dict item of a value from a pickle: refuses keys that would be costly to compare.
void set_item(PickleValue& dict, const PickleValue& key, const PickleValue& value);

// pickle_tensors.cpp
Tensor allocate_storage(int64_t numel, at::ScalarType dtype, uint64_t available_bytes,
                        PickleContext& context);
// A storage without memory, to be pointed to its elements later.
Tensor announce_storage(int64_t numel, at::ScalarType dtype, uint64_t available_bytes);
void normalise_bools(Tensor& tensor);  // bytes other than 0 and 1 become 1
PickleValue rebuild_tensor(std::span<const PickleValue> arguments,
                           const PickleValue* dtype = nullptr);
PickleValue numpy_dtype(const PickleValue& code);
void build_numpy_dtype(const PickleValue& state);
void build_numpy_array(PickleValue& array, const PickleValue& state, PickleContext& context);
PickleValue numpy_scalar(const PickleValue& dtype, const PickleValue& data);
PickleValue numpy_from_buffer(std::span<const PickleValue> arguments, PickleContext& context);

// torch_legacy.cpp, torch_zip.cpp: whole torch.save streams.
bool is_torch_legacy(Bytes data);
bool is_zip(Bytes data);
PickleValue read_torch_legacy(const SharedBytes& data, PickleContext& context);
PickleValue read_torch_zip(const SharedBytes& data, PickleContext& context);
// An entry beside data.pkl, if it is there.
std::optional<std::string> read_torch_zip_entry(Bytes data, const std::string& name);
inline PickleValue read_torch_stream(const SharedBytes& data, PickleContext& context) {
  return is_zip(data.span()) ? read_torch_zip(data, context) : read_torch_legacy(data, context);
}

// Runs `read` and turns whatever it throws into an Error that begins with the name of the file.
PickleValue guarded_read(const std::string& name, const std::function<PickleValue()>& read);

inline Bytes as_byte_span(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace edm2::detail
