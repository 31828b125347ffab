#include "edm2/nn/snapshot_index.h"

#include <ATen/ATen.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/nn/state_layout.h"
#include "edm2/nn/state_report.h"
#include "nn/file_tensors.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

using Bytes = std::span<const std::byte>;

StoredTensor locate(const std::string& name, const Tensor& tensor, Bytes file) {
  StoredTensor stored{name, tensor.scalar_type(), tensor.sizes().vec(), false, 0, {}};
  // The file and the tensor are in memory at the same time, so nothing else has these addresses.
  if (tensor.is_contiguous() && lies_in(tensor, file))
    stored.offset =
        static_cast<uint64_t>(static_cast<const std::byte*>(tensor.const_data_ptr()) - file.data());
  else
    stored.copy = tensor.contiguous();
  return stored;
}

std::set<std::string> buffer_names(const NetworkOptions& options) {
  std::set<std::string> names;
  for (const StateEntry& entry : state_layout(options))
    if (entry.is_buffer) names.insert(entry.name);
  return names;
}

std::set<std::string> buffer_names(const std::map<std::string, std::string>& metadata) {
  const auto entry = metadata.find("buffers");
  if (entry == metadata.end()) return {};
  try {
    return nlohmann::json::parse(entry->second).get<std::set<std::string>>();
  } catch (const nlohmann::json::exception&) {
    throw Error("the metadata \"buffers\" are no JSON list of names");
  }
}

void index_tensors(const StateDict& tensors, const std::set<std::string>& buffers, Bytes file,
                   SnapshotIndex& index) {
  for (const auto& [name, tensor] : tensors) {
    index.tensors.push_back(locate(name, tensor, file));
    index.tensors.back().is_buffer =
        buffers.contains(name) || !at::isFloatingType(tensor.scalar_type());
  }
}

// Powers of two are scales of other tensors: averages of each are not those of their products.
void refuse_scales(const SnapshotIndex& index) {
  for (const StoredTensor& tensor : index.tensors)
    if (tensor.dtype == at::kFloat8_e8m0fnu && !tensor.is_buffer)
      throw Error("the tensor '" + printable_name(tensor.name) +
                  "' has the type F8_E8M0, which holds scales of other tensors and cannot be "
                  "averaged; store the weights as F16 or F32");
}

SnapshotIndex index_contents(const SharedBytes& shared, const std::string& name) {
  const Bytes contents = shared.span();
  FileContents file = view_network(shared, name);
  SnapshotIndex index;
  index.format = file.format;
  if (const auto* bare = std::get_if<BareWeights>(&file.contents)) {
    if (file.format != SnapshotFormat::safetensors)
      throw Error("this file holds bare tensors; edm2 convert makes a snapshot of it");
    index.metadata = bare->metadata;
    index_tensors(bare->tensors, buffer_names(index.metadata), contents, index);
    refuse_scales(index);
    return index;
  }
  Snapshot snapshot = std::move(std::get<Snapshot>(file.contents));
  index_tensors(snapshot.tensors, buffer_names(snapshot.network), contents, index);
  snapshot.tensors.clear();
  index.network = std::move(snapshot);
  return index;
}

// Tensors that have shapes and types, but no memory.
StateDict hollow_tensors(const SnapshotIndex& index) {
  StateDict result;
  for (const StoredTensor& tensor : index.tensors)
    result.emplace_back(tensor.name, at::from_blob(nullptr, tensor.shape, tensor.dtype));
  return result;
}

std::vector<FilePiece> pickle_pieces(const Snapshot& snapshot) {
  // Tensors are known by their storages: the writer makes new tensors of the same storage.
  std::unordered_map<const void*, size_t> positions;
  const auto identity = [](const Tensor& tensor) {
    return static_cast<const void*>(tensor.storage().unsafeGetStorageImpl());
  };
  for (size_t i = 0; i < snapshot.tensors.size(); ++i)
    positions[identity(snapshot.tensors[i].second)] = i;
  std::vector<FilePiece> pieces(1);
  write_pickle(
      [&](Bytes bytes) {
        pieces.back().bytes.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      },
      snapshot_to_pickle(snapshot),
      [&](const Tensor& tensor) {
        pieces.back().tensor = positions.at(identity(tensor));
        pieces.emplace_back();
      });
  return pieces;
}

std::vector<FilePiece> safetensors_pieces(const StateDict& tensors,
                                          const std::map<std::string, std::string>& metadata) {
  std::vector<FilePiece> pieces(1);
  std::vector<ArraySpec> specs;
  for (const auto& [name, tensor] : tensors)
    specs.push_back({name, tensor.scalar_type(), tensor.sizes().vec()});
  pieces[0].bytes = safetensors_header(specs, metadata);
  for (size_t i = 0; i < tensors.size(); ++i) {
    pieces.back().tensor = i;
    pieces.emplace_back();
  }
  return pieces;
}

}  // namespace

int64_t StoredTensor::numel() const { return c10::multiply_integers(shape); }

uint64_t StoredTensor::nbytes() const {
  return static_cast<uint64_t>(numel()) * c10::elementSize(dtype);
}

SnapshotIndex index_snapshot(const std::filesystem::path& path) {
  return with_file_name(path, [&] {
    return index_contents(SharedBytes::of_file(path, MappedFile::Use::little), path.string());
  });
}

struct SnapshotIndexer::First {
  SharedBytes file;
  SnapshotIndex index;
  std::vector<std::pair<size_t, size_t>> descriptions;  // begin and end of what is no element

  explicit First(const std::filesystem::path& path)
      : file(SharedBytes::of_file(path, MappedFile::Use::little)) {
    with_file_name(path, [&] { index = index_contents(file, path.string()); });
    std::vector<std::pair<size_t, size_t>> elements;
    for (const StoredTensor& tensor : index.tensors)
      if (!tensor.copy.defined())
        elements.emplace_back(tensor.offset, tensor.offset + tensor.nbytes());
    std::sort(elements.begin(), elements.end());
    size_t at = 0;
    for (const auto& [begin, end] : elements) {
      if (begin > at) descriptions.emplace_back(at, begin);
      at = std::max<size_t>(at, end);
    }
    descriptions.emplace_back(at, file.size());
  }

  bool is_alike(Bytes other) const {
    const Bytes own = file.span();
    return own.size() == other.size() &&
           std::all_of(descriptions.begin(), descriptions.end(), [&](const auto& range) {
             const auto [begin, end] = range;
             return std::equal(own.begin() + static_cast<ptrdiff_t>(begin),
                               own.begin() + static_cast<ptrdiff_t>(end),
                               other.begin() + static_cast<ptrdiff_t>(begin));
           });
  }
};

SnapshotIndexer::SnapshotIndexer(const std::filesystem::path& first)
    : first_(std::make_unique<const First>(first)) {}

SnapshotIndexer::~SnapshotIndexer() = default;

SnapshotIndex SnapshotIndexer::index(const std::filesystem::path& path) const {
  return with_file_name(path, [&] {
    const SharedBytes file = SharedBytes::of_file(path, MappedFile::Use::little);
    return first_->is_alike(file.span()) ? first_->index : index_contents(file, path.string());
  });
}

std::vector<FilePiece> snapshot_pieces(const SnapshotIndex& index, SnapshotFormat format) {
  if (!index.network) {
    if (format == SnapshotFormat::pickle)
      throw Error("only EDM2 networks can be written as .pkl; other networks as .safetensors");
    return safetensors_pieces(hollow_tensors(index), index.metadata);
  }
  Snapshot snapshot = *index.network;
  snapshot.tensors = hollow_tensors(index);
  check_snapshot(snapshot);
  check_format(snapshot, format);
  if (format == SnapshotFormat::torch)
    throw Error("networks are written in pieces as .pkl or .safetensors, not as .pt");
  check_tensors(snapshot.network, snapshot.tensors);
  if (format == SnapshotFormat::safetensors)
    return safetensors_pieces(snapshot.tensors, safetensors_metadata(snapshot));
  return pickle_pieces(snapshot);
}

}  // namespace edm2
