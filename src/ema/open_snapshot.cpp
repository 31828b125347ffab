#include "ema/open_snapshot.h"

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/ordered_workers.h"
#include "edm2/core/error.h"
#include "edm2/nn/state_report.h"

namespace edm2 {
namespace {

// What the averages of a network have in common. (Dropout and use_fp16 do not change the network.)
nlohmann::json architecture(const Snapshot& snapshot) {
  nlohmann::json options = to_json(snapshot.network);
  options.erase("dropout");
  options.erase("use_fp16");
  options.erase("has_logvar");  // its tensors were compared
  return options;
}

// The first difference, in words about `b`; empty if there is none.
std::string difference(const SnapshotIndex& a, const SnapshotIndex& b) {
  if (a.network.has_value() != b.network.has_value())
    return b.network ? "it is a snapshot of an EDM2 network"
                     : "it is no snapshot of an EDM2 network";
  for (size_t i = 0; i < std::min(a.tensors.size(), b.tensors.size()); ++i) {
    const StoredTensor &x = a.tensors[i], &y = b.tensors[i];
    if (x.name != y.name) return "it has " + y.name + " where the other has " + x.name;
    if (x.shape != y.shape)
      return y.name + " has the shape " + shape_text(y.shape) + " instead of " +
             shape_text(x.shape);
    if (x.is_buffer != y.is_buffer) return y.name + " is a buffer in one of them only";
    const bool numbers_differ =
        x.dtype != y.dtype && (!at::isFloatingType(x.dtype) || !at::isFloatingType(y.dtype));
    if (numbers_differ) return y.name + " has another type of numbers";
  }
  if (a.tensors.size() != b.tensors.size())
    return "it has " + std::to_string(b.tensors.size()) + " tensors instead of " +
           std::to_string(a.tensors.size());
  if (!a.network) return "";
  const nlohmann::json x = architecture(*a.network), y = architecture(*b.network);
  for (const auto& [key, value] : y.items())
    if (x.at(key) != value)
      return "its option " + key + " is " + value.dump() + " instead of " + x.at(key).dump();
  return "";
}

}  // namespace

std::vector<EmaProfile> profiles_of(std::span<const SnapshotFile> files) {
  std::vector<EmaProfile> profiles;
  for (const SnapshotFile& file : files) profiles.push_back(file.profile());
  return profiles;
}

void check_same_network(const OpenSnapshot& first, const OpenSnapshot& other) {
  const std::string what = difference(first.index, other.index);
  if (!what.empty())
    throw Error(other.file.path().string() + " is of another network than " +
                first.file.path().filename().string() + ": " + what);
}

std::vector<OpenSnapshot> open_snapshots(const std::filesystem::path& folder,
                                         const std::vector<SnapshotFile>& files, size_t count,
                                         FileAccess access) {
  // Descriptions lie in small pieces all over the files: to find them is to wait for the disk, and
  // disks (and file servers) like many questions at a time.
  constexpr int64_t most_threads = 16;
  if (count == 0) return {};
  const SnapshotIndexer indexer(folder / files[0].file_name);
  const auto end = static_cast<int64_t>(count);
  const int threads = static_cast<int>(std::min(most_threads, end)) - 1;  // and this one
  OrderedWorkers<OpenSnapshot> workers(threads, /*window=*/end, end, [&](int64_t i) {
    check_interrupt();
    const std::filesystem::path path = folder / files[static_cast<size_t>(i)].file_name;
    return OpenSnapshot(path, indexer.index(path), access);
  });
  std::vector<OpenSnapshot> opened;
  opened.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    opened.push_back(workers.next_helping());
    check_same_network(opened.front(), opened.back());
  }
  return opened;
}

}  // namespace edm2
