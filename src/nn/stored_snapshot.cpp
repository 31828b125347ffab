#include "edm2/nn/stored_snapshot.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "edm2/core/error.h"
#include "nn/file_tensors.h"
#include "nn/snapshot_formats.h"

namespace edm2 {

struct StoredSnapshot::State {
  Snapshot snapshot;
  std::optional<FileTensors> file;
};

StoredSnapshot::StoredSnapshot(Snapshot snapshot)
    : state_(std::make_unique<State>(State{std::move(snapshot), {}})) {}

StoredSnapshot::StoredSnapshot(const std::filesystem::path& path)
    : state_(std::make_unique<State>()) {
  state_->snapshot = with_file_name(path, [&] {
    RandomAccessFile file(path);
    const SharedBytes contents = SharedBytes::of_file(file, MappedFile::Use::little);
    FileContents read = view_network(contents, path.string());
    if (auto* found = std::get_if<Snapshot>(&read.contents)) {
      if (auto left = FileTensors::leave(found->tensors, contents.span(), std::move(file)))
        state_->file.emplace(std::move(*left));
      else
        read = read_network(contents.span(), path.string());
    }
    if (auto* found = std::get_if<Snapshot>(&read.contents)) return std::move(*found);
    const PickleValue& root = std::get<BareWeights>(read.contents).torch_root;
    if (is_training_state(root))
      throw Error("this is a training state, not a network snapshot; edm2 convert makes one of it");
    throw Error(
        "this file holds bare tensors without the network's configuration; edm2 convert makes a "
        "snapshot of it (with --like or --config for what tensors do not tell)");
  });
}

StoredSnapshot::~StoredSnapshot() = default;
StoredSnapshot::StoredSnapshot(StoredSnapshot&&) noexcept = default;
StoredSnapshot& StoredSnapshot::operator=(StoredSnapshot&&) noexcept = default;

const Snapshot& StoredSnapshot::description() const { return state_->snapshot; }

Tensor StoredSnapshot::take(const std::string& name) {
  StateDict& tensors = state_->snapshot.tensors;
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  if (found == tensors.end() || !found->second.defined())
    throw Error("the snapshot lacks the parameter '" + name + "'");
  const Tensor taken = std::exchange(found->second, {});
  if (!taken.is_meta()) return taken.cpu();
  return state_->file->read(static_cast<size_t>(found - tensors.begin()), taken);
}

Snapshot StoredSnapshot::load() && {
  if (state_->file) state_->file->read_all(state_->snapshot.tensors);
  return std::move(state_->snapshot);
}

Snapshot load_snapshot(const std::filesystem::path& path) { return StoredSnapshot(path).load(); }

}  // namespace edm2
