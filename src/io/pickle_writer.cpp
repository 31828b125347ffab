#include "io/pickle_writer.h"

#include <ATen/ATen.h>

#include <bit>
#include <limits>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "io/numpy_types.h"
#include "io/pickle_machine.h"
#include "io/pickle_opcodes.h"

namespace edm2::detail {
namespace {

constexpr size_t buffer_size = 64 << 10;

std::vector<PickleValue> to_values(at::IntArrayRef integers) {
  return std::vector<PickleValue>(integers.begin(), integers.end());
}

}  // namespace

PickleWriter::PickleWriter(const ByteSink& sink, PersistentId persistent_id)
    : sink_(sink), persistent_id_(std::move(persistent_id)) {}

void PickleWriter::write(const PickleValue& root) {
  code(op::proto);
  raw<uint8_t>(persistent_id_ ? 2 : 4);
  value(root);
  code(op::stop);
  flush();
}

void PickleWriter::put(const void* data, size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  if (buffer_.size() + size > buffer_size) flush();
  if (size > buffer_size)
    sink_(std::as_bytes(std::span(bytes, size)));
  else
    buffer_.append(bytes, size);
}

void PickleWriter::flush() {
  if (!buffer_.empty()) sink_(as_byte_span(buffer_));
  buffer_.clear();
}

void PickleWriter::integer(int64_t number) {
  using Int32 = std::numeric_limits<int32_t>;
  if (number >= Int32::min() && number <= Int32::max()) {
    code(op::bin_int);
    raw(static_cast<int32_t>(number));
  } else {
    code(op::long1);
    raw<uint8_t>(8);
    raw(number);
  }
}

void PickleWriter::real(double number) {
  code(op::bin_float);
  raw(__builtin_bswap64(std::bit_cast<uint64_t>(number)));
}

void PickleWriter::text(std::string_view text) {
  if (text.size() > std::numeric_limits<uint32_t>::max())
    throw Error("a text is too long to store");
  code(op::bin_unicode);
  raw(static_cast<uint32_t>(text.size()));
  put(text.data(), text.size());
}

void PickleWriter::bytes_header(uint64_t size) {
  if (persistent_id_) throw Error("torch files cannot hold bytes");
  if (size <= std::numeric_limits<uint32_t>::max()) {
    code(op::bin_bytes);
    raw(static_cast<uint32_t>(size));
  } else {
    code(op::bin_bytes8);
    raw(size);
  }
}

void PickleWriter::bytes(std::string_view bytes) {
  bytes_header(bytes.size());
  put(bytes.data(), bytes.size());
}

void PickleWriter::global(std::string_view module, std::string_view name) {
  code(op::global);
  put(module.data(), module.size());
  put("\n", 1);
  put(name.data(), name.size());
  put("\n", 1);
}

void PickleWriter::elements(const std::vector<PickleValue>& elements) {
  code(op::mark);
  for (const PickleValue& element : elements) value(element);
}

void PickleWriter::ordered_dict_header() {
  global("collections", "OrderedDict");
  code(op::empty_tuple);
  code(op::reduce);
}

void PickleWriter::dict(const PickleValue& dict) {
  switch (dict.dict_type()) {
    case PickleValue::DictType::plain:
      code(op::empty_dict);
      break;
    case PickleValue::DictType::ordered:
      ordered_dict_header();
      break;
    case PickleValue::DictType::easy:
      if (persistent_id_) {  // torch.load(weights_only=True) refuses the original's dict class
        code(op::empty_dict);
        break;
      }
      global("dnnlib.util", "EasyDict");
      code(op::empty_tuple);
      code(op::new_obj);
      break;
  }
  if (dict.items().empty()) return;
  code(op::mark);
  for (const auto& [key, item] : dict.items()) {
    value(key);
    value(item);
  }
  code(op::set_items);
}

void PickleWriter::object(const PickleValue& object) {
  if (persistent_id_) throw Error("torch files cannot hold " + object.kind_name());
  if (!object.module_name().empty()) {
    global(object.module_name(), object.class_name());
    code(op::empty_tuple);
    code(op::new_obj);
    value(object.state());
    code(op::build);
    return;
  }
  global("torch_utils.persistence", "_reconstruct_persistent_obj");
  value(PickleValue::tuple({PickleValue::dict({{"type", "class"},
                                               {"version", 6},
                                               {"module_src", object.source()},
                                               {"class_name", object.class_name()},
                                               {"state", object.state()}})}));
  code(op::reduce);
}

// A torch stream of before zip whose root is the storage.
void PickleWriter::embedded_storage(const Tensor& tensor) {
  std::string head, id;
  const ByteSink to_head = [&](Bytes data) {
    head.append(reinterpret_cast<const char*>(data.data()), data.size());
  };
  head.assign("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15);
  const auto no_tensors = [](const Tensor&) { return PickleValue(); };
  PickleWriter(to_head, no_tensors).write(1001);
  PickleWriter(to_head, no_tensors)
      .write(PickleValue::dict(
          {{"protocol_version", 1001},
           {"little_endian", true},
           {"type_sizes", PickleValue::dict({{"short", 2}, {"int", 4}, {"long", 4}})}}));
  PickleWriter root(to_head, no_tensors);
  root.code(op::proto);
  root.raw<uint8_t>(2);
  root.value(PickleValue::tuple(
      {"storage",
       PickleValue::global("torch", std::string(storage_class_name(tensor.scalar_type()))), "0",
       "cpu", tensor.numel(), PickleValue()}));
  root.code(op::bin_persid);
  root.code(op::stop);
  root.flush();
  PickleWriter(to_head, no_tensors).write(PickleValue::list({"0"}));

  bytes_header(head.size() + sizeof(int64_t) + tensor.nbytes());
  put(head.data(), head.size());
  raw(tensor.numel());
  if (write_elements_) {
    flush();
    write_elements_(tensor);
  } else {
    put(tensor.const_data_ptr(), tensor.nbytes());
  }
}

void PickleWriter::torch_tensor(const Tensor& tensor) {
  const Tensor stored = tensor.detach().cpu().contiguous();
  global("torch._utils", "_rebuild_tensor_v2");
  code(op::mark);
  if (persistent_id_) {
    value(persistent_id_(stored));
    code(op::bin_persid);
  } else {
    global("torch.storage", "_load_from_bytes");
    code(op::mark);
    embedded_storage(stored);
    code(op::tuple);
    code(op::reduce);
  }
  integer(0);
  value(PickleValue::tuple(to_values(stored.sizes())));
  value(PickleValue::tuple(to_values(stored.strides())));
  code(op::new_false);
  ordered_dict_header();
  code(op::tuple);
  code(op::reduce);
}

void PickleWriter::array(const Tensor& tensor) {
  if (persistent_id_) throw Error("torch files cannot hold numpy arrays");
  const Tensor stored = tensor.detach().cpu().contiguous();
  const auto code_of_dtype = numpy_code(stored.scalar_type());
  if (!code_of_dtype)
    throw Error(std::string("numpy has no arrays of type ") + c10::toString(stored.scalar_type()));
  const bool one_byte = stored.element_size() == 1;
  global("numpy.core.multiarray", "_reconstruct");
  value(PickleValue::tuple(
      {PickleValue::global("numpy", "ndarray"), PickleValue::tuple({0}), PickleValue::bytes("b")}));
  code(op::reduce);
  code(op::mark);
  integer(1);
  value(PickleValue::tuple(to_values(stored.sizes())));
  global("numpy", "dtype");
  value(PickleValue::tuple({*code_of_dtype, false, true}));
  code(op::reduce);
  value(PickleValue::tuple({3, one_byte ? "|" : "<", {}, {}, {}, -1, -1, 0}));
  code(op::build);
  code(op::new_false);
  bytes({static_cast<const char*>(stored.const_data_ptr()), stored.nbytes()});
  code(op::tuple);
  code(op::build);
}

void PickleWriter::tensor(const PickleValue& value) {
  switch (value.tensor_type()) {
    case PickleValue::TensorType::ndarray:
      array(value.as_tensor());
      break;
    case PickleValue::TensorType::tensor:
      torch_tensor(value.as_tensor());
      break;
    case PickleValue::TensorType::parameter:
      global("torch._utils", "_rebuild_parameter");
      code(op::mark);
      torch_tensor(value.as_tensor());
      code(op::new_false);
      ordered_dict_header();
      code(op::tuple);
      code(op::reduce);
      break;
  }
}

void PickleWriter::value(const PickleValue& value) {
  using Kind = PickleValue::Kind;
  switch (value.kind()) {
    case Kind::none:
      code(op::none);
      break;
    case Kind::boolean:
      code(value.as_bool() ? op::new_true : op::new_false);
      break;
    case Kind::integer:
      integer(value.as_int());
      break;
    case Kind::real:
      real(value.as_double());
      break;
    case Kind::string:
      text(value.as_string());
      break;
    case Kind::bytes:
      bytes(value.as_bytes());
      break;
    case Kind::tuple:
      if (value.elements().empty()) {
        code(op::empty_tuple);
        break;
      }
      elements(value.elements());
      code(op::tuple);
      break;
    case Kind::list:
      code(op::empty_list);
      if (value.elements().empty()) break;
      elements(value.elements());
      code(op::appends);
      break;
    case Kind::set:
      if (persistent_id_) throw Error("torch files cannot hold sets");
      code(op::empty_set);
      if (value.elements().empty()) break;
      elements(value.elements());
      code(op::add_items);
      break;
    case Kind::dict:
      dict(value);
      break;
    case Kind::tensor:
      tensor(value);
      break;
    case Kind::object:
      object(value);
      break;
    case Kind::global:
      global(value.module_name(), value.class_name());
      break;
    case Kind::big_integer:
    case Kind::storage:
      throw Error("cannot store " + value.kind_name());
  }
}

}  // namespace edm2::detail

namespace edm2 {

void write_pickle(const ByteSink& sink, const PickleValue& value) {
  detail::PickleWriter(sink).write(value);
}

void write_pickle(const ByteSink& sink, const PickleValue& value,
                  const TensorSink& write_elements) {
  detail::PickleWriter writer(sink);
  writer.leave_out_elements(write_elements);
  writer.write(value);
}

void write_pickle_file(const std::filesystem::path& path, const PickleValue& value) {
  AtomicFile file(path);
  write_pickle([&](std::span<const std::byte> bytes) { file.write(bytes); }, value);
  file.commit();
}

}  // namespace edm2
