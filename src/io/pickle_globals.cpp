// The complete list of names that a pickle may use, and what calling them means here.
// Long: the list is to be seen as a whole, beside what its entries mean.
#include <array>
#include <map>

#include "io/pickle_machine.h"
#include "io/pickle_writer.h"

namespace edm2::detail {
namespace {

enum class Meaning {
  easy_dict,
  ordered_dict,
  default_dict,
  persistent,
  rebuild_tensor,
  rebuild_tensor_v2,
  rebuild_tensor_v3,
  rebuild_parameter,
  load_from_bytes,
  storage,
  untyped_storage,
  dtype,
  size,
  device,
  module,
  array_reconstruct,
  array_scalar,
  array_from_buffer,
  array_class,
  array_dtype,
  encode_latin1,
  make_set,
  make_list,
  make_dict,
  make_tuple,
  make_bytes,
  make_complex,
  plain_object,
  reconstructor,
  first_argument,
};

}  // namespace

struct KnownGlobal {
  std::string_view module, name;
  Meaning meaning;
  at::ScalarType dtype = at::kByte;  // of storages and dtypes
};

namespace {

using M = Meaning;
constexpr auto known_globals = std::to_array<KnownGlobal>({
    {"dnnlib.util", "EasyDict", M::easy_dict},
    {"dnnlib", "EasyDict", M::easy_dict},
    {"torch_utils.persistence", "_reconstruct_persistent_obj", M::persistent},
    {"collections", "OrderedDict", M::ordered_dict},
    {"collections", "defaultdict", M::default_dict},
    {"torch._utils", "_rebuild_tensor", M::rebuild_tensor},
    {"torch._utils", "_rebuild_tensor_v2", M::rebuild_tensor_v2},
    {"torch._utils", "_rebuild_tensor_v3", M::rebuild_tensor_v3},
    {"torch._utils", "_rebuild_parameter", M::rebuild_parameter},
    {"torch._utils", "_rebuild_parameter_with_state", M::rebuild_parameter},
    {"torch.nn.parameter", "Parameter", M::rebuild_parameter},
    {"torch.storage", "_load_from_bytes", M::load_from_bytes},
    {"torch.storage", "TypedStorage", M::untyped_storage},
    {"torch.storage", "UntypedStorage", M::untyped_storage},
    {"torch", "HalfStorage", M::storage, at::kHalf},
    {"torch", "FloatStorage", M::storage, at::kFloat},
    {"torch", "DoubleStorage", M::storage, at::kDouble},
    {"torch", "BFloat16Storage", M::storage, at::kBFloat16},
    {"torch", "ByteStorage", M::storage, at::kByte},
    {"torch", "CharStorage", M::storage, at::kChar},
    {"torch", "ShortStorage", M::storage, at::kShort},
    {"torch", "IntStorage", M::storage, at::kInt},
    {"torch", "LongStorage", M::storage, at::kLong},
    {"torch", "BoolStorage", M::storage, at::kBool},
    {"torch", "ComplexFloatStorage", M::storage, at::kComplexFloat},
    {"torch", "float16", M::dtype, at::kHalf},
    {"torch", "float32", M::dtype, at::kFloat},
    {"torch", "float64", M::dtype, at::kDouble},
    {"torch", "bfloat16", M::dtype, at::kBFloat16},
    {"torch", "uint8", M::dtype, at::kByte},
    {"torch", "int8", M::dtype, at::kChar},
    {"torch", "int16", M::dtype, at::kShort},
    {"torch", "int32", M::dtype, at::kInt},
    {"torch", "int64", M::dtype, at::kLong},
    {"torch", "bool", M::dtype, at::kBool},
    {"torch", "uint16", M::dtype, at::kUInt16},
    {"torch", "uint32", M::dtype, at::kUInt32},
    {"torch", "uint64", M::dtype, at::kUInt64},
    {"torch", "complex64", M::dtype, at::kComplexFloat},
    {"torch", "float8_e4m3fn", M::dtype, at::kFloat8_e4m3fn},
    {"torch", "float8_e5m2", M::dtype, at::kFloat8_e5m2},
    {"torch", "float8_e4m3fnuz", M::dtype, at::kFloat8_e4m3fnuz},
    {"torch", "float8_e5m2fnuz", M::dtype, at::kFloat8_e5m2fnuz},
    {"torch", "float8_e8m0fnu", M::dtype, at::kFloat8_e8m0fnu},
    {"torch", "Size", M::size},
    {"torch", "device", M::device},
    {"torch.nn.modules.container", "ModuleDict", M::module},
    {"torch.nn.modules.container", "Sequential", M::module},
    {"torch.nn.modules.container", "ModuleList", M::module},
    {"torch.nn.modules.pooling", "MaxPool2d", M::module},
    {"torch.nn.modules.pooling", "AvgPool2d", M::module},
    {"torch.nn.modules.linear", "Linear", M::module},
    {"numpy.core.multiarray", "_reconstruct", M::array_reconstruct},
    {"numpy._core.multiarray", "_reconstruct", M::array_reconstruct},
    {"numpy.core.multiarray", "scalar", M::array_scalar},
    {"numpy._core.multiarray", "scalar", M::array_scalar},
    {"numpy.core.numeric", "_frombuffer", M::array_from_buffer},
    {"numpy._core.numeric", "_frombuffer", M::array_from_buffer},
    {"numpy", "ndarray", M::array_class},
    {"numpy", "dtype", M::array_dtype},
    {"numpy", "float64", M::dtype, at::kDouble},
    {"numpy", "float32", M::dtype, at::kFloat},
    {"numpy", "int64", M::dtype, at::kLong},
    {"_codecs", "encode", M::encode_latin1},
    {"builtins", "set", M::make_set},
    {"builtins", "frozenset", M::make_set},
    {"builtins", "list", M::make_list},
    {"builtins", "dict", M::make_dict},
    {"builtins", "tuple", M::make_tuple},
    {"builtins", "bytearray", M::make_bytes},
    {"builtins", "bytes", M::make_bytes},  // of no bytes, in protocols 0 to 2
    {"builtins", "complex", M::make_complex},
    {"builtins", "object", M::plain_object},
    {"copyreg", "_reconstructor", M::reconstructor},
    // What checkpoints of training programs keep their options in.
    {"argparse", "Namespace", M::module},
    {"types", "SimpleNamespace", M::module},
    {"lightning_fabric.utilities.data", "AttributeDict", M::make_dict},
    {"lightning.fabric.utilities.data", "AttributeDict", M::make_dict},
    {"pytorch_lightning.utilities.parsing", "AttributeDict", M::make_dict},
    {"lightning.pytorch.utilities.parsing", "AttributeDict", M::make_dict},
    {"torch.jit._pickle", "build_intlist", M::first_argument},
    {"torch.jit._pickle", "build_doublelist", M::first_argument},
    {"torch.jit._pickle", "build_boollist", M::first_argument},
    {"torch.jit._pickle", "build_tensorlist", M::first_argument},
    {"torch.jit._pickle", "restore_type_tag", M::first_argument},
});

// Classes whose code a TorchScript archive brings along. Only their attributes are kept.
constexpr KnownGlobal script_class = {"__torch__", "", M::module};
bool is_script_module(std::string_view module) {
  return module == "__torch__" || module.starts_with("__torch__.");
}

// Python 2 called two of the modules otherwise.
std::string_view modern_name(std::string_view module) {
  if (module == "__builtin__") return "builtins";
  if (module == "copy_reg") return "copyreg";
  return module;
}

const KnownGlobal& known(const PickleValue& callable) {
  const PickleGlobal* global = pickle_global(callable);
  if (!global || !global->known) throw Error(callable.kind_name() + " is called as a function");
  return *global->known;
}

std::string full_name(const KnownGlobal& global) {
  return std::string(global.module) + '.' + std::string(global.name);
}

using Arguments = std::span<const PickleValue>;

const PickleValue& argument(Arguments arguments, size_t index) {
  if (index >= arguments.size()) throw Error("a function is called with too few arguments");
  return arguments[index];
}

PickleValue make_dict(PickleValue::DictType type, Arguments arguments, PickleContext& context) {
  PickleValue dict = context.adopt(PickleValue::dict(type));
  if (arguments.empty()) return dict;
  context.spend_operations(arguments[0].size());
  if (arguments[0].is_dict()) {
    for (const auto& [key, value] : arguments[0].items()) set_item(dict, key, value);
    return dict;
  }
  for (const PickleValue& pair : arguments[0].elements()) {
    if (pair.elements().size() != 2) throw Error("a dict is made from something else than pairs");
    set_item(dict, pair.elements()[0], pair.elements()[1]);
  }
  return dict;
}

PickleValue make_sequence(PickleValue::Kind kind, Arguments arguments, PickleContext& context) {
  std::vector<PickleValue> elements;
  if (!arguments.empty()) {
    context.spend_operations(arguments[0].size());
    elements = arguments[0].elements();
  }
  return context.adopt(make_pickle(PickleSequence{kind, std::move(elements)}));
}

// Characters as bytes, the way protocols 0 to 2 carry bytes.
PickleValue encode_latin1(const PickleValue& text, PickleContext& context) {
  const std::string& utf8 = text.as_string();
  context.spend_bytes(utf8.size());
  std::string result;
  result.reserve(utf8.size());
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto lead = static_cast<uint8_t>(utf8[i]);
    if (lead < 0x80) {
      result += utf8[i];
      continue;
    }
    if ((lead != 0xc2 && lead != 0xc3) || i + 1 >= utf8.size())
      throw Error("bytes are stored as a text with characters beyond latin-1");
    result += static_cast<char>((lead & 3) << 6 | (static_cast<uint8_t>(utf8[++i]) & 63));
  }
  return PickleValue::bytes(std::move(result));
}

PickleValue make_bytes(Arguments arguments, PickleContext& context) {
  if (arguments.empty()) return PickleValue::bytes({});
  if (arguments[0].is_string()) return encode_latin1(arguments[0], context);
  arguments[0].as_bytes();  // must be bytes
  return arguments[0];
}

PickleValue reconstruct_persistent(const PickleValue& meta, PickleContext& context) {
  if (meta.at("type").as_string() != "class" || meta.at("version").as_int() != 6)
    throw Error("a persistent object is of another version than 6");
  const PickleValue& state = meta.at("state");
  if (!state.is_dict()) throw Error("the state of a persistent object is " + state.kind_name());
  const std::string& class_name = meta.at("class_name").as_string();
  if (class_name.size() > 200) throw Error("a persistent object has an impossible class name");
  PickleValue object = context.adopt(PickleValue::persistent(class_name, state, {}));
  // The Python text is never run; who reads networks looks at what it defines.
  const PickleValue* source = meta.find("module_src");
  if (source && source->is_string()) pickle_object(object)->source = *source;
  return object;
}

// A share in the bytes: the value may go before what is read from them.
SharedBytes require_bytes(const PickleValue& value) {
  const auto* bytes = pickle_as<PickleBytes>(value);
  if (!bytes) throw Error("expected bytes, found " + value.kind_name());
  return bytes->bytes;
}

PickleValue load_from_bytes(const PickleValue& data, PickleContext& context) {
  if (context.stream_depth > 0) throw Error("torch streams are nested in each other");
  ++context.stream_depth;
  PickleValue storage = read_torch_stream(require_bytes(data), context);
  --context.stream_depth;
  if (storage.kind() != PickleValue::Kind::storage)
    throw Error("a torch stream holds " + storage.kind_name() + " instead of a storage");
  return storage;
}

// torch notes here that the elements count negated or conjugated.
void refuse_lazy_tensor(Arguments arguments, size_t place_of_metadata) {
  if (arguments.size() <= place_of_metadata || !arguments[place_of_metadata].is_dict()) return;
  for (const auto& [key, value] : arguments[place_of_metadata].items())
    if (value.kind() != PickleValue::Kind::boolean || value.as_bool())
      throw Error(
          "a tensor is stored with elements that count negated or conjugated; save "
          "tensor.resolve_neg().resolve_conj()");
}

PickleValue empty_array(Arguments arguments) {
  if (known(argument(arguments, 0)).meaning != M::array_class)
    throw Error("an array is made of another class than numpy.ndarray");
  return make_pickle(PickleEmptyArray{});
}

// copyreg._reconstructor(class, base, state): how protocols 0 and 1 make objects. A class made of
// dict gets its items at once.
PickleValue reconstruct(Arguments arguments, PickleContext& context) {
  const PickleValue& cls = argument(arguments, 0);
  const Meaning base = known(argument(arguments, 1)).meaning;
  PickleValue object = new_object(cls, PickleValue::tuple(), context);
  const PickleValue& items = argument(arguments, 2);
  if (base == M::plain_object || items.is_none()) return object;
  if (base != M::make_dict || !object.is_dict() || !items.is_dict())
    throw Error("an object of the class " + full_name(known(cls)) + " cannot be made this way");
  context.spend_operations(items.size());
  for (const auto& [key, value] : items.items()) set_item(object, key, value);
  return object;
}

PickleValue call(const KnownGlobal& function, Arguments arguments, PickleContext& context) {
  switch (function.meaning) {
    case M::easy_dict:
      return make_dict(PickleValue::DictType::easy, arguments, context);
    case M::ordered_dict:
      return make_dict(PickleValue::DictType::ordered, arguments, context);
    case M::default_dict:
      return make_dict(PickleValue::DictType::ordered, {}, context);
    case M::make_dict:
      return make_dict(PickleValue::DictType::plain, arguments, context);
    case M::make_set:
      return make_sequence(PickleValue::Kind::set, arguments, context);
    case M::make_list:
      return make_sequence(PickleValue::Kind::list, arguments, context);
    case M::make_tuple:
      return make_sequence(PickleValue::Kind::tuple, arguments, context);
    case M::make_bytes:
      return make_bytes(arguments, context);
    case M::make_complex:
      return context.adopt(PickleValue::tuple(
          {argument(arguments, 0).as_double(), argument(arguments, 1).as_double()}));
    case M::size:
    case M::first_argument:
    case M::device:
      return argument(arguments, 0);
    case M::encode_latin1:
      return encode_latin1(argument(arguments, 0), context);
    case M::persistent:
      return reconstruct_persistent(argument(arguments, 0), context);
    case M::load_from_bytes:
      return load_from_bytes(argument(arguments, 0), context);
    case M::rebuild_tensor:
    case M::rebuild_tensor_v2:
      refuse_lazy_tensor(arguments, 6);
      return rebuild_tensor(arguments);
    case M::rebuild_tensor_v3:
      refuse_lazy_tensor(arguments, 7);
      return rebuild_tensor(arguments, &argument(arguments, 6));
    case M::rebuild_parameter:
      return PickleValue::parameter(argument(arguments, 0).as_tensor());
    case M::array_reconstruct:
      return empty_array(arguments);
    case M::array_scalar:
      return numpy_scalar(argument(arguments, 0), argument(arguments, 1));
    case M::array_from_buffer:
      return numpy_from_buffer(arguments, context);
    case M::array_dtype:
      return numpy_dtype(argument(arguments, 0));
    case M::reconstructor:
      return reconstruct(arguments, context);
    default:
      throw Error("the class " + full_name(function) + " is called as a function");
  }
}

}  // namespace

PickleValue find_global(std::string_view module, std::string_view name,
                        const PickleContext& context) {
  constexpr size_t longest = 100;
  const std::string_view modern = modern_name(module);
  for (const KnownGlobal& entry : known_globals) {
    if (entry.module != modern || entry.name != name) continue;
    return make_pickle(std::make_unique<PickleGlobal>(
        PickleGlobal{std::string(modern), std::string(name), &entry}));
  }
  if (context.script_classes && is_script_module(module) && module.size() <= longest &&
      name.size() <= longest)
    return make_pickle(std::make_unique<PickleGlobal>(
        PickleGlobal{std::string(module), std::string(name), &script_class}));
  throw Error("forbidden global " + std::string(module.substr(0, longest)) + '.' +
              std::string(name.substr(0, longest)) +
              ": no network, state or statistics file needs it, so the file is not opened (if it "
              "holds a whole module, an optimizer or options as Python objects, save the weights "
              "alone: torch.save(module.state_dict(), FILE))");
}

PickleValue call_global(const PickleValue& callable, const PickleValue& arguments,
                        PickleContext& context) {
  if (arguments.kind() != PickleValue::Kind::tuple)
    throw Error("a function is called with " + arguments.kind_name() + " instead of a tuple");
  return call(known(callable), arguments.elements(), context);
}

PickleValue new_object(const PickleValue& cls, const PickleValue& arguments,
                       PickleContext& context) {
  const KnownGlobal& global = known(cls);
  if (arguments.elements().empty()) {
    switch (global.meaning) {
      case M::easy_dict:
        return make_dict(PickleValue::DictType::easy, {}, context);
      case M::ordered_dict:
        return make_dict(PickleValue::DictType::ordered, {}, context);
      case M::make_dict:
        return make_dict(PickleValue::DictType::plain, {}, context);
      case M::array_class:
        return make_pickle(PickleEmptyArray{});
      case M::module:
        return context.adopt(
            PickleValue::module(pickle_global(cls)->module, pickle_global(cls)->name, {}));
      default:
        break;
    }
  }
  throw Error("an object of the class " + full_name(global) + " cannot be made this way");
}

void build_object(PickleValue& object, const PickleValue& state, PickleContext& context) {
  if (PickleObject* target = pickle_object(object)) {
    if (!state.is_dict()) throw Error("the state of an object is " + state.kind_name());
    target->state = state;
  } else if (pickle_as<PickleEmptyArray>(object)) {
    build_numpy_array(object, state, context);
  } else if (pickle_as<PickleDtype>(object)) {
    build_numpy_dtype(state);
  } else if (!object.is_dict()) {  // attributes of dicts (state_dict's _metadata) are not needed
    throw Error("a state is given to " + object.kind_name());
  }
}

std::optional<at::ScalarType> storage_dtype(const PickleValue& storage_class) {
  const KnownGlobal& global = known(storage_class);
  if (global.meaning == M::untyped_storage) return std::nullopt;
  if (global.meaning != M::storage && global.meaning != M::dtype)
    throw Error(full_name(global) + " is not a class of storages");
  return global.dtype;
}

std::string_view storage_class_name(at::ScalarType dtype) {
  for (const KnownGlobal& entry : known_globals)
    if (entry.meaning == M::storage && entry.dtype == dtype && !at::isComplexType(dtype))
      return entry.name;
  throw Error(std::string("cannot store tensors of type ") + c10::toString(dtype));
}

void set_item(PickleValue& dict, const PickleValue& key, const PickleValue& value) {
  constexpr size_t longest_key = 4096;
  if (auto* bytes = pickle_as<PickleBytes>(key)) bytes->own();
  const bool is_text = key.is_string() || key.kind() == PickleValue::Kind::bytes;
  if (is_text && (key.is_string() ? key.as_string().size() : key.as_bytes().size()) > longest_key)
    throw Error("a key of a dict is too long");
  dict.set(key, value);
}

}  // namespace edm2::detail
