// torch.save files since PyTorch 1.6: a zip of stored entries, `<prefix>/data.pkl` and
// `<prefix>/data/<key>`.
#include <ATen/ATen.h>
#include <zip.h>

#include <algorithm>
#include <cstring>

#include "edm2/core/printable.h"
#include "io/torch_storage.h"

namespace edm2::detail {
namespace {

class ZipArchive {
 public:
  explicit ZipArchive(Bytes data) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(data.data(), data.size(), 0, &error);
    if (source) archive_.reset(zip_open_from_source(source, ZIP_RDONLY, &error));
    const std::string message = archive_ ? "" : zip_error_strerror(&error);
    zip_error_fini(&error);
    if (archive_) return;
    if (source) zip_source_free(source);
    throw Error("not a readable zip (a truncated file?): " + message);
  }

  // The prefix of all entries, including the slash.
  std::string prefix() const {
    constexpr std::string_view root = "/data.pkl";
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive_.get(), 0); ++i) {
      const char* raw_name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
      const std::string_view name = raw_name ? raw_name : "";
      if (name == "data.pkl") return "";
      if (name.ends_with(root)) return std::string(name.substr(0, name.size() - root.size() + 1));
    }
    throw Error("the zip has no data.pkl: not a file of torch.save" + first_entry_text());
  }

  bool contains(const std::string& name) const { return locate(name) >= 0; }

  uint64_t entry_size(const std::string& name) const { return stat(name).size; }

  // Reads a whole entry of exactly `bytes` bytes.
  void read(const std::string& name, void* target, uint64_t bytes) const {
    const zip_stat_t entry = stat(name);
    if (entry.size != bytes) throw Error("the entry " + name + " has an unexpected size");
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(
        zip_fopen_index(archive_.get(), entry.index, 0), zip_fclose);
    if (!file) throw Error("cannot read the entry " + name + ": " + zip_strerror(archive_.get()));
    auto* position = static_cast<char*>(target);
    while (bytes > 0) {
      const zip_int64_t got = zip_fread(file.get(), position, std::min(bytes, uint64_t{1} << 30));
      if (got <= 0) damaged(name);
      position += got;
      bytes -= static_cast<uint64_t>(got);
    }
    char beyond = 0;  // reading past the end is what makes libzip compare the checksum
    if (zip_fread(file.get(), &beyond, 1) != 0) damaged(name);
  }

 private:
  // What kind of archive it is instead, such as pictures or arrays of NumPy, shows in a name.
  std::string first_entry_text() const {
    const char* name =
        zip_get_num_entries(archive_.get(), 0) > 0 ? zip_get_name(archive_.get(), 0, 0) : nullptr;
    constexpr size_t longest = 120;
    return name ? ", but an archive of other files ('" + printable_within(name, longest) +
                      "' is the first)"
                : " (it is empty)";
  }

  zip_int64_t locate(const std::string& name) const {
    return zip_name_locate(archive_.get(), name.c_str(), 0);
  }

  zip_stat_t stat(const std::string& name) const {
    const zip_int64_t index = locate(name);
    zip_stat_t entry;
    zip_stat_init(&entry);
    if (index < 0 ||
        zip_stat_index(archive_.get(), static_cast<zip_uint64_t>(index), 0, &entry) != 0)
      throw Error("the entry " + name + " is missing");
    constexpr zip_uint64_t needed = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((entry.valid & needed) != needed || entry.comp_method != ZIP_CM_STORE ||
        entry.size != entry.comp_size || entry.encryption_method != ZIP_EM_NONE)
      throw Error("the entry " + name + " is compressed; torch.save stores its entries plainly");
    return entry;
  }

  [[noreturn]] static void damaged(const std::string& name) {
    throw Error("the entry " + name + " is damaged (wrong checksum or a truncated file)");
  }

  std::unique_ptr<zip_t, decltype(&zip_discard)> archive_{nullptr, zip_discard};
};

class TorchZipReader {
 public:
  TorchZipReader(const SharedBytes& data, PickleContext& context)
      : data_(data),
        size_(data.size()),
        archive_(data.span()),
        prefix_(archive_.prefix()),
        context_(context) {}

  PickleValue read() {
    if (archive_.contains(prefix_ + "byteorder") && read_text("byteorder") != "little")
      throw Error("torch files of big-endian machines are not supported");
    context_.script_classes = context_.stream_depth == 0;
    PickleMachine machine(SharedBytes(read_text("data.pkl")), context_,
                          [&](const PickleValue& id) { return load(id); });
    return machine.run();
  }

 private:
  std::string read_text(const std::string& name) {
    const uint64_t size = archive_.entry_size(prefix_ + name);
    if (size > size_) throw Error("the entry " + name + " is larger than the file");
    context_.spend_bytes(size);
    std::string text(size, '\0');
    archive_.read(prefix_ + name, text.data(), size);
    return text;
  }

  PickleValue load(const PickleValue& persistent_id) {
    const StorageId id = parse_storage_id(persistent_id);
    if (id.is_view) throw Error("a storage is a view of another");
    const auto known = storages_.find(id.key);
    if (known != storages_.end()) {
      if (known->second.scalar_type() != id.dtype || known->second.numel() != id.numel)
        throw Error("a storage of the torch file is described in two ways");
      return make_pickle(PickleStorage{known->second, id.untyped});
    }
    const std::string entry = prefix_ + "data/" + id.key;
    Tensor data = allocate_storage(id.numel, id.dtype, archive_.entry_size(entry), context_);
    archive_.read(entry, data.mutable_data_ptr(), data.nbytes());
    if (id.dtype == at::kBool) normalise_bools(data);
    storages_.emplace(id.key, data);
    return make_pickle(PickleStorage{data, id.untyped});
  }

  SharedBytes data_;  // of the archive
  uint64_t size_;
  ZipArchive archive_;
  std::string prefix_;
  PickleContext& context_;
  std::map<std::string, Tensor> storages_;
};

}  // namespace

bool is_zip(Bytes data) {
  return data.size() >= 4 && std::memcmp(data.data(), "PK\x03\x04", 4) == 0;
}

PickleValue read_torch_zip(const SharedBytes& data, PickleContext& context) {
  return TorchZipReader(data, context).read();
}

std::optional<std::string> read_torch_zip_entry(Bytes data, const std::string& name) {
  constexpr uint64_t largest = 16 << 20;
  const ZipArchive archive(data);
  const std::string entry = archive.prefix() + name;
  if (!archive.contains(entry)) return std::nullopt;
  const uint64_t size = archive.entry_size(entry);
  if (size > std::min<uint64_t>(largest, data.size()))
    throw Error("the entry " + entry + " is too large");
  std::string text(size, '\0');
  archive.read(entry, text.data(), size);
  return text;
}

}  // namespace edm2::detail
