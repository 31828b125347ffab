#include "edm2/nn/stored_snapshot.h"

#include <memory>
#include <unordered_map>
#include <utility>

#include "edm2/core/error.h"
#include "nn/file_tensors.h"
#include "nn/snapshot_formats.h"

namespace edm2 {

struct StoredSnapshot::State {
  Snapshot snapshot;
  std::shared_ptr<const FileTensors> file;        // or null
  std::unordered_map<std::string, size_t> index;  // in snapshot.tensors
};

StoredSnapshot::StoredSnapshot(Snapshot snapshot) : state_(std::make_unique<State>()) {
  state_->snapshot = std::move(snapshot);
  const StateDict& tensors = state_->snapshot.tensors;
  for (size_t i = 0; i < tensors.size(); ++i) state_->index.emplace(tensors[i].first, i);
}

StoredSnapshot::StoredSnapshot(const std::filesystem::path& path) : StoredSnapshot(Snapshot()) {
  std::shared_ptr<const FileTensors> left;
  Snapshot snapshot = with_file_name(path, [&] {
    RandomAccessFile file(path);
    const MappedFile contents(file, MappedFile::Use::little);
    FileContents read = read_network(contents.bytes(), path.string(), /*views=*/true);
    if (auto* found = std::get_if<Snapshot>(&read.contents)) {
      if (auto tensors = FileTensors::leave(found->tensors, contents.bytes(), std::move(file)))
        left = std::make_shared<FileTensors>(std::move(*tensors));
      else
        read = read_network(contents.bytes(), path.string(), /*views=*/false);
    }
    if (auto* found = std::get_if<Snapshot>(&read.contents)) return std::move(*found);
    const PickleValue& root = std::get<BareWeights>(read.contents).torch_root;
    if (is_training_state(root))
      throw Error("this is a training state, not a network snapshot; edm2 convert makes one of it");
    throw Error(
        "this file holds bare tensors without the network's configuration; edm2 convert makes a "
        "snapshot of it");
  });
  *this = StoredSnapshot(std::move(snapshot));
  state_->file = std::move(left);
}

StoredSnapshot::~StoredSnapshot() = default;
StoredSnapshot::StoredSnapshot(StoredSnapshot&&) noexcept = default;
StoredSnapshot& StoredSnapshot::operator=(StoredSnapshot&&) noexcept = default;

const Snapshot& StoredSnapshot::description() const { return state_->snapshot; }

Tensor StoredSnapshot::take(const std::string& name) {
  const auto found = state_->index.find(name);
  Tensor* const tensor =
      found != state_->index.end() ? &state_->snapshot.tensors[found->second].second : nullptr;
  if (tensor == nullptr || !tensor->defined())
    throw Error("the snapshot lacks the parameter '" + name + "'");
  const Tensor taken = std::exchange(*tensor, {});
  return taken.is_meta() ? state_->file->read(found->second, taken) : taken.cpu();
}

Snapshot StoredSnapshot::load() && {
  if (state_->file) state_->file->read_all(state_->snapshot.tensors);
  return std::move(state_->snapshot);
}

Snapshot load_snapshot(const std::filesystem::path& path) { return StoredSnapshot(path).load(); }

}  // namespace edm2
