// https://github.com/huggingface/safetensors describes the format.
#include "edm2/io/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"

namespace edm2 {
namespace {

using Bytes = std::span<const std::byte>;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t longest_header = 100'000'000;
constexpr size_t most_dimensions = 32;
constexpr int deepest_json = 4;  // header, tensor, list

struct NamedType {
  const char* name;
  at::ScalarType type;
};
constexpr NamedType types[] = {{"F64", at::kDouble},
                               {"F32", at::kFloat},
                               {"F16", at::kHalf},
                               {"BF16", at::kBFloat16},
                               {"F8_E4M3", at::kFloat8_e4m3fn},
                               {"F8_E5M2", at::kFloat8_e5m2},
                               {"F8_E8M0", at::kFloat8_e8m0fnu},
                               {"F8_E4M3FNUZ", at::kFloat8_e4m3fnuz},
                               {"F8_E5M2FNUZ", at::kFloat8_e5m2fnuz},
                               {"C64", at::kComplexFloat},
                               {"I64", at::kLong},
                               {"I32", at::kInt},
                               {"I16", at::kShort},
                               {"I8", at::kChar},
                               {"U64", at::kUInt64},
                               {"U32", at::kUInt32},
                               {"U16", at::kUInt16},
                               {"U8", at::kByte},
                               {"BOOL", at::kBool}};

// Types of the format that libtorch has no tensors of.
struct PackedType {
  const char* name;
  unsigned bits;
};
constexpr PackedType packed_types[] = {{"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}};

// A file that is right, but holds what cannot be kept here.
class UnsupportedType : public Error {
 public:
  using Error::Error;
};

const char* type_name(at::ScalarType type) {
  for (const auto& entry : types)
    if (entry.type == type) return entry.name;
  throw Error(std::string("safetensors files cannot hold tensors of type ") + c10::toString(type));
}

struct TensorEntry {
  std::string name;
  at::ScalarType type = at::kFloat;
  const PackedType* packed = nullptr;  // in place of `type`
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;

  unsigned bits() const {
    return packed ? packed->bits : 8 * static_cast<unsigned>(c10::elementSize(type));
  }
};

void set_type(const json& name, TensorEntry& entry) {
  for (const auto& known : types)
    if (name == known.name) {
      entry.type = known.type;
      return;
    }
  for (const PackedType& known : packed_types)
    if (name == known.name) {
      entry.packed = &known;
      return;
    }
  throw Error("the tensor has the unknown type " +
              name.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 100));
}

uint64_t header_length(Bytes contents) {
  uint64_t length = 0;
  if (contents.size() < sizeof length) throw Error("the file is too short");
  std::memcpy(&length, contents.data(), sizeof length);
  if (length > longest_header || length > contents.size() - sizeof length)
    throw Error("the header is longer than the file or than 100 MB (a truncated file?)");
  return length;
}

// Parses the header; unlike plain JSON, names must be unique and nesting is shallow.
json parse_header(Bytes header) {
  const auto* begin = reinterpret_cast<const char*>(header.data());
  if (header.empty() || *begin != '{') throw Error("the header is no JSON object");
  // The JSON reader would take a zero byte for the end.
  if (std::find(header.begin(), header.end(), std::byte{0}) != header.end())
    throw Error("the header is padded with zero bytes instead of blanks");
  std::vector<std::set<std::string>> names;
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (depth > deepest_json) throw Error("the header is nested too deeply");
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key && !names.back().insert(parsed.get<std::string>()).second)
      throw Error("the name \"" + parsed.get<std::string>().substr(0, 100) + "\" stands twice");
    return true;
  };
  try {
    return json::parse(begin, begin + header.size(), check);
  } catch (const json::exception&) {
    throw Error("the header is no valid JSON");
  }
}

uint64_t as_unsigned(const json& number) {
  if (!number.is_number_unsigned()) throw Error("a size in the header is no natural number");
  return number.get<uint64_t>();
}

TensorEntry parse_entry(const std::string& name, const json& entry, uint64_t data_size) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets"))
    throw Error("a tensor needs exactly dtype, shape and data_offsets");
  TensorEntry result;
  result.name = name;
  set_type(entry["dtype"], result);
  const json &shape = entry["shape"], &offsets = entry["data_offsets"];
  if (!shape.is_array() || shape.size() > most_dimensions || !offsets.is_array() ||
      offsets.size() != 2)
    throw Error("a shape or an offset is malformed");
  // The product that counts empty dimensions as 1 bounds every stride.
  uint64_t bits = result.bits(), padded = bits;
  for (const json& dimension : shape) {
    const uint64_t size = as_unsigned(dimension);
    if (__builtin_mul_overflow(padded, std::max<uint64_t>(size, 1), &padded) || padded > uint64_t{1}
                                                                                             << 51)
      throw Error("a tensor has an impossible shape");
    bits *= size;
    result.shape.push_back(static_cast<int64_t>(size));
  }
  result.begin = as_unsigned(offsets[0]);
  result.end = as_unsigned(offsets[1]);
  if (result.end < result.begin || result.end > data_size ||
      result.end - result.begin != (bits + 7) / 8)
    throw Error("the offsets do not fit the shape or the file (a truncated file?)");
  return result;
}

void refuse_packed(const TensorEntry& entry) {
  if (!entry.packed) return;
  throw UnsupportedType("the tensor '" + entry.name.substr(0, 100) + "' has the type " +
                        entry.packed->name + ", which packs numbers of " +
                        std::to_string(entry.packed->bits) +
                        " bits and is not supported; store it as F16 or F8_E4M3");
}

std::map<std::string, std::string> parse_metadata(const json& metadata) {
  if (metadata.is_null()) return {};
  if (!metadata.is_object()) throw Error("__metadata__ is no JSON object");
  std::map<std::string, std::string> result;
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string()) throw Error("__metadata__ holds something else than texts");
    result[key] = value.get<std::string>();
  }
  return result;
}

Tensor copy_tensor(const TensorEntry& entry, Bytes data) {
  Tensor tensor = at::empty(entry.shape, entry.type);
  auto* target = static_cast<uint8_t*>(tensor.mutable_data_ptr());
  const uint64_t size = entry.end - entry.begin;
  if (size > 0) std::memcpy(target, data.data() + entry.begin, size);
  if (entry.type == at::kBool)
    for (uint64_t i = 0; i < size; ++i) target[i] = target[i] != 0;
  return tensor;
}

Tensor view_tensor(const TensorEntry& entry, const SharedBytes& data) {
  // Bytes of bools may have to be changed.
  if (entry.type == at::kBool) return copy_tensor(entry, data.span());
  auto* place = const_cast<std::byte*>(data.data() + entry.begin);
  return at::from_blob(
      place, entry.shape, [data](void*) {}, entry.type);
}

SafetensorsFile parse(const SharedBytes& contents, bool views) {
  const uint64_t length = header_length(contents.span());
  const json header = parse_header(contents.part(sizeof length, length).span());
  const SharedBytes data = contents.from(sizeof length + length);

  SafetensorsFile result;
  std::vector<TensorEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      result.metadata = parse_metadata(value);
      continue;
    }
    try {
      entries.push_back(parse_entry(name, value, data.size()));
    } catch (const Error& error) {
      throw Error('"' + name.substr(0, 100) + "\": " + error.what());
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != covered) throw Error("the data of the tensors overlap or leave holes");
    covered = entry.end;
  }
  if (covered != data.size()) throw Error("the file has data that belong to no tensor");
  for (const TensorEntry& entry : entries) refuse_packed(entry);
  for (const TensorEntry& entry : entries)
    result.tensors.emplace_back(entry.name,
                                views ? view_tensor(entry, data) : copy_tensor(entry, data.span()));
  return result;
}

}  // namespace

std::string safetensors_header(const std::vector<ArraySpec>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  ordered_json header = ordered_json::object();
  std::set<std::string> names = {"__metadata__"};
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const ArraySpec& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw Error("the name \"" + tensor.name + "\" stands twice");
    const uint64_t end = offset + tensor.bytes();
    // Not through operator[], whose search makes large headers slow.
    header.get_ref<ordered_json::object_t&>().emplace_back(
        tensor.name, ordered_json{{"dtype", type_name(tensor.type)},
                                  {"shape", tensor.shape},
                                  {"data_offsets", {offset, end}}});
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > longest_header) throw Error("the header is longer than 100 MB");
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

namespace {

class SafetensorsStream : public ArrayStream {
 public:
  SafetensorsStream(const std::filesystem::path& path, const std::vector<ArraySpec>& arrays,
                    const std::map<std::string, std::string>& metadata)
      : ArrayStream(arrays), file_(path) {
    const std::string header = safetensors_header(arrays, metadata);
    file_.write(header);
    uint64_t start = header.size();
    for (const ArraySpec& array : arrays) {
      starts_.push_back(start);
      start += array.bytes();
    }
    file_.skip(start - starts_.front());
  }

 private:
  void put(size_t array, uint64_t offset, std::span<const std::byte> bytes) override {
    file_.write_at(starts_[array] + offset, bytes);
  }
  void close() override { file_.commit(); }

  AtomicFile file_;
  std::vector<uint64_t> starts_;
};

}  // namespace

bool is_safetensors(Bytes contents) {
  uint64_t length = 0;
  if (contents.size() <= sizeof length) return false;
  std::memcpy(&length, contents.data(), sizeof length);
  return length <= longest_header && contents[sizeof length] == std::byte{'{'};
}

namespace {

SafetensorsFile parse_naming(const SharedBytes& contents, const std::string& name, bool views) {
  try {
    return parse(contents, views);
  } catch (const UnsupportedType& error) {
    throw Error(name + ": " + error.what());
  } catch (const Error& error) {
    throw Error(name + ": not a readable safetensors file: " + error.what());
  }
}

}  // namespace

SafetensorsFile read_safetensors(Bytes contents, const std::string& name) {
  return parse_naming(SharedBytes::borrowed(contents), name, /*views=*/false);
}

SafetensorsFile view_safetensors(const SharedBytes& contents, const std::string& name) {
  return parse_naming(contents, name, /*views=*/true);
}

SafetensorsFile load_safetensors(const std::filesystem::path& path) {
  const MappedFile file(path);
  return read_safetensors(file.bytes(), path.string());
}

void save_safetensors(const std::filesystem::path& path, const StateDict& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<ArraySpec> specs;
  for (const auto& [name, tensor] : tensors)
    specs.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  AtomicFile file(path);
  file.write(safetensors_header(specs, metadata));
  for (const auto& [name, tensor] : tensors) {
    const Tensor stored = tensor.detach().cpu().contiguous();
    file.write(Bytes(static_cast<const std::byte*>(stored.const_data_ptr()), stored.nbytes()));
  }
  file.commit();
}

std::unique_ptr<ArrayStream> stream_safetensors(
    const std::filesystem::path& path, const std::vector<ArraySpec>& arrays,
    const std::map<std::string, std::string>& metadata) {
  return std::make_unique<SafetensorsStream>(path, arrays, metadata);
}

}  // namespace edm2
