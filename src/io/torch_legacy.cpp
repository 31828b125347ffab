// torch.save streams of before zip: five pickles, then the elements of all storages.
#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "io/torch_storage.h"

namespace edm2::detail {
namespace {

using namespace std::string_view_literals;

// Pickles of the integer 0x1950a86a20f9469cfc6c in protocols 2 and 3, and in a frame in 4 and 5.
constexpr std::string_view magic_pickles[] = {
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv,
    "\x80\x03\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv,
    "\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv,
    "\x80\x05\x95\x0d\0\0\0\0\0\0\0\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv,
};

// How many bytes the magic pickle has with which the data begin; 0 for others.
size_t magic_size(Bytes data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  for (const std::string_view magic : magic_pickles)
    if (text.starts_with(magic)) return magic.size();
  return 0;
}

struct LegacyStorage {
  Tensor data;
  bool untyped = false, filled = false, is_view = false;
};

// What a storage holds on to: the bytes live as long as it does.
c10::DataPtr owning_pointer(const SharedBytes& bytes) {
  return {const_cast<std::byte*>(bytes.data()), new SharedBytes(bytes),
          [](void* context) { delete static_cast<SharedBytes*>(context); }, c10::Device(c10::kCPU)};
}

class LegacyReader {
 public:
  LegacyReader(const SharedBytes& data, PickleContext& context) : rest_(data), context_(context) {}

  PickleValue read() {
    rest_ = rest_.from(magic_size(rest_.span()));
    if (next_pickle().as_int() != 1001) throw Error("unknown version of the torch stream");
    if (!next_pickle().at("little_endian").as_bool())
      throw Error("torch streams of big-endian machines are not supported");
    PickleValue root = next_pickle();
    const PickleValue keys = next_pickle();
    for (const PickleValue& key : keys.elements()) fill(key.as_string());
    for (const auto& [key, storage] : storages_)
      if (!storage.filled) throw Error("a storage of the torch stream has no data");
    return root;
  }

 private:
  PickleValue next_pickle() {
    PickleMachine machine(rest_, context_, [&](const PickleValue& id) { return load(id); });
    PickleValue value = machine.run();
    rest_ = rest_.from(machine.consumed());
    return value;
  }

  // The storage gets its memory now and its elements when the whole object is known.
  PickleValue load(const PickleValue& persistent_id) {
    const StorageId id = parse_storage_id(persistent_id);
    auto [entry, is_new] = storages_.try_emplace(id.key);
    LegacyStorage& storage = entry->second;
    if (is_new) {
      // Bytes of bools may have to be changed: these are copied always.
      storage.is_view = context_.leaves_in_place(rest_) && id.dtype != at::kBool;
      storage.data = storage.is_view ? announce_storage(id.numel, id.dtype, rest_.size())
                                     : allocate_storage(id.numel, id.dtype, rest_.size(), context_);
      storage.untyped = id.untyped;
    } else if (storage.data.scalar_type() != id.dtype || storage.data.numel() != id.numel) {
      throw Error("a storage of the torch stream is described in two ways");
    }
    if (!id.is_view) return make_pickle(PickleStorage{storage.data, storage.untyped});
    if (id.view_offset < 0 || id.view_numel < 0 || id.view_offset > id.numel ||
        id.view_numel > id.numel - id.view_offset)
      throw Error("a part of a storage reaches beyond its end");
    return make_pickle(
        PickleStorage{storage.data.narrow(0, id.view_offset, id.view_numel), storage.untyped});
  }

  SharedBytes take(size_t count) {
    if (count > rest_.size()) throw Error("the torch stream ends early (a truncated file?)");
    SharedBytes taken = rest_.part(0, count);
    rest_ = rest_.from(count);
    return taken;
  }

  void fill(const std::string& key) {
    const auto entry = storages_.find(key);
    if (entry == storages_.end() || entry->second.filled)
      throw Error("the torch stream lists a storage that it does not use");
    int64_t numel = 0;
    std::memcpy(&numel, take(sizeof numel).data(), sizeof numel);
    Tensor& data = entry->second.data;
    if (numel != data.numel()) throw Error("a storage of the torch stream has another size");
    const SharedBytes elements = take(data.nbytes());
    if (entry->second.is_view) {
      // Tensors that were made of the storage share it, so they follow.
      data.storage().set_data_ptr_noswap(owning_pointer(elements));
    } else if (elements.size() > 0) {
      std::memcpy(data.mutable_data_ptr(), elements.data(), elements.size());
    }
    if (data.scalar_type() == at::kBool) normalise_bools(data);
    entry->second.filled = true;
  }

  SharedBytes rest_;
  PickleContext& context_;
  std::map<std::string, LegacyStorage> storages_;
};

}  // namespace

StorageId parse_storage_id(const PickleValue& id) {
  const auto& parts = id.elements();
  if (parts.size() < 5 || parts[0].as_string() != "storage")
    throw Error("a persistent id of the torch stream is not a storage");
  StorageId result;
  const auto dtype = storage_dtype(parts[1]);
  result.untyped = !dtype;
  result.dtype = dtype.value_or(at::kByte);
  result.key = parts[2].as_string();
  if (result.key.size() > 100) throw Error("a storage has an impossible name");
  result.numel = parts[4].as_int();
  if (parts.size() > 5 && !parts[5].is_none()) {
    const auto& view = parts[5].elements();
    if (view.size() != 3) throw Error("a storage is a view of an unknown form");
    result.is_view = true;
    result.view_offset = view[1].as_int();
    result.view_numel = view[2].as_int();
  }
  return result;
}

bool is_torch_legacy(Bytes data) { return magic_size(data) > 0; }

PickleValue read_torch_legacy(const SharedBytes& data, PickleContext& context) {
  if (!is_torch_legacy(data.span())) throw Error("not a torch stream");
  return LegacyReader(data, context).read();
}

}  // namespace edm2::detail
