// Torch tensors and numpy arrays out of the parts that pickles store.
#include <ATen/ATen.h>

#include <cstring>

#include "io/numpy_types.h"
#include "io/pickle_machine.h"

namespace edm2::detail {
namespace {

constexpr size_t most_dimensions = 32;

// Product of the sizes, counting empty dimensions as 1 too so that no stride can overflow.
int64_t checked_numel(const std::vector<int64_t>& sizes) {
  if (sizes.size() > most_dimensions) throw Error("a tensor has too many dimensions");
  int64_t padded = 1, numel = 1;
  for (const int64_t size : sizes) {
    if (size < 0 || __builtin_mul_overflow(padded, std::max<int64_t>(size, 1), &padded))
      throw Error("a tensor has an impossible shape");
    numel *= size;
  }
  if (padded > int64_t{1} << 48) throw Error("a tensor has an impossible shape");
  return numel;
}

// Index of the last element, counted from the first of the storage.
int64_t checked_last_index(int64_t offset, const std::vector<int64_t>& sizes,
                           const std::vector<int64_t>& strides) {
  int64_t last = offset;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t extent = 0;
    if (strides[i] < 0 || __builtin_mul_overflow(sizes[i] - 1, strides[i], &extent) ||
        __builtin_add_overflow(last, extent, &last))
      throw Error("a tensor has impossible strides");
  }
  return last;
}

// The whole storage with elements of `dtype`.
Tensor typed_storage(const PickleStorage& storage, at::ScalarType dtype) {
  if (storage.data.scalar_type() == dtype) return storage.data;
  if (!storage.untyped) throw Error("a tensor and its storage have different types");
  const int64_t size = static_cast<int64_t>(c10::elementSize(dtype));
  return storage.data.narrow(0, 0, storage.data.numel() / size * size).view(dtype);
}

at::ScalarType dtype_from_code(std::string_view code) {
  if (!code.empty() && code.front() == '>') throw Error("big-endian arrays are not supported");
  if (!code.empty() && (code.front() == '<' || code.front() == '|' || code.front() == '='))
    code.remove_prefix(1);
  for (const NumpyType& known : numpy_types)
    if (known.code == code && !known.is_unsigned) return known.stored;
  throw Error("arrays of the type \"" + std::string(code.substr(0, 20)) + "\" are not supported");
}

at::ScalarType require_dtype(const PickleValue& value) {
  const auto* dtype = pickle_as<PickleDtype>(value);
  if (!dtype) throw Error("expected a numpy dtype, found " + value.kind_name());
  return dtype->type;
}

Tensor array_from_bytes(std::string_view data, at::ScalarType dtype, std::vector<int64_t> shape,
                        bool fortran_order, PickleContext& context) {
  const auto numel = static_cast<uint64_t>(checked_numel(shape));
  if (data.size() != numel * c10::elementSize(dtype))
    throw Error("an array has " + std::to_string(data.size()) + " bytes, which is not its size");
  context.spend_bytes(data.size());
  if (fortran_order) std::reverse(shape.begin(), shape.end());
  Tensor tensor = at::empty(shape, dtype);
  if (!data.empty()) std::memcpy(tensor.mutable_data_ptr(), data.data(), data.size());
  if (dtype == at::kBool) normalise_bools(tensor);
  if (!fortran_order) return tensor;
  std::vector<int64_t> reversed(shape.size());
  for (size_t i = 0; i < shape.size(); ++i)
    reversed[i] = static_cast<int64_t>(shape.size() - 1 - i);
  return tensor.permute(reversed);
}

// Bytes, or the text that Python 2 wrote for them.
std::string_view raw_bytes(const PickleValue& value) {
  return value.is_string() ? std::string_view(value.as_string()) : value.as_bytes();
}

}  // namespace

void normalise_bools(Tensor& tensor) {
  auto* bytes = static_cast<uint8_t*>(tensor.mutable_data_ptr());
  for (int64_t i = 0; i < tensor.numel(); ++i) bytes[i] = bytes[i] != 0;
}

namespace {

// Bytes of a storage; an Error if the file cannot have so many.
uint64_t checked_storage_size(int64_t numel, at::ScalarType dtype, uint64_t available_bytes) {
  const auto item = static_cast<int64_t>(c10::elementSize(dtype));
  int64_t size = 0;
  if (numel < 0 || __builtin_mul_overflow(numel, item, &size) ||
      static_cast<uint64_t>(size) > available_bytes)
    throw Error("a storage of " + std::to_string(numel) +
                " elements is larger than the data that the file has for it (a truncated file?)");
  return static_cast<uint64_t>(size);
}

}  // namespace

Tensor allocate_storage(int64_t numel, at::ScalarType dtype, uint64_t available_bytes,
                        PickleContext& context) {
  context.spend_bytes(checked_storage_size(numel, dtype, available_bytes));
  return at::empty({numel}, dtype);
}

Tensor announce_storage(int64_t numel, at::ScalarType dtype, uint64_t available_bytes) {
  checked_storage_size(numel, dtype, available_bytes);
  return at::from_blob(nullptr, {numel}, dtype);
}

PickleValue rebuild_tensor(std::span<const PickleValue> arguments, const PickleValue* dtype) {
  if (arguments.size() < 4) throw Error("a tensor is stored with too few parts");
  const auto* storage = pickle_as<PickleStorage>(arguments[0]);
  if (!storage) throw Error("expected a storage, found " + arguments[0].kind_name());
  const auto element = dtype ? storage_dtype(*dtype) : storage->data.scalar_type();
  if (!element) throw Error("a tensor has no type");
  const Tensor base = typed_storage(*storage, *element);

  const int64_t offset = arguments[1].as_int();
  const std::vector<int64_t> sizes = arguments[2].as_ints(), strides = arguments[3].as_ints();
  if (sizes.size() != strides.size()) throw Error("a tensor has more strides than dimensions");
  const int64_t numel = checked_numel(sizes);
  if (numel == 0) return at::empty(sizes, *element);
  if (offset < 0 || checked_last_index(offset, sizes, strides) >= base.numel())
    throw Error("a tensor reaches beyond the end of its storage");
  if (numel > base.numel())
    throw Error(
        "a tensor has more elements than its storage, as expand() makes them; save "
        "tensor.contiguous()");
  return base.as_strided(sizes, strides, base.storage_offset() + offset);
}

PickleValue numpy_dtype(const PickleValue& code) {
  return make_pickle(PickleDtype{dtype_from_code(code.as_string())});
}

void build_numpy_dtype(const PickleValue& state) {
  if (state.elements().size() < 2) throw Error("a numpy dtype has an unknown state");
  if (state.elements()[1].as_string() == ">") throw Error("big-endian arrays are not supported");
}

void build_numpy_array(PickleValue& array, const PickleValue& state, PickleContext& context) {
  const auto& parts = state.elements();
  if (parts.size() != 5) throw Error("a numpy array has an unknown state");
  Tensor tensor = array_from_bytes(raw_bytes(parts[4]), require_dtype(parts[2]), parts[1].as_ints(),
                                   parts[3].as_bool(), context);
  array.node()->data = PickleTensor{std::move(tensor), PickleValue::TensorType::ndarray};
}

PickleValue numpy_scalar(const PickleValue& dtype, const PickleValue& data) {
  const at::ScalarType type = require_dtype(dtype);
  const std::string_view bytes = raw_bytes(data);
  if (bytes.size() != c10::elementSize(type)) throw Error("a numpy number has the wrong size");
  Tensor tensor = at::empty({}, type);
  std::memcpy(tensor.mutable_data_ptr(), bytes.data(), bytes.size());
  if (type == at::kBool) return bytes[0] != 0;
  if (at::isFloatingType(type)) return tensor.item<double>();
  return tensor.item<int64_t>();
}

PickleValue numpy_from_buffer(std::span<const PickleValue> arguments, PickleContext& context) {
  if (arguments.size() != 4) throw Error("a numpy array is stored with an unknown number of parts");
  const std::string& order = arguments[3].as_string();
  if (order != "C" && order != "F") throw Error("a numpy array has an unknown order");
  return PickleValue::ndarray(array_from_bytes(raw_bytes(arguments[0]), require_dtype(arguments[1]),
                                               arguments[2].as_ints(), order == "F", context));
}

}  // namespace edm2::detail
