#include "edm2/ema/snapshots.h"

#include <algorithm>
#include <map>
#include <set>

#include "edm2/core/error.h"
#include "ema/snapshot_writer.h"

namespace edm2 {
namespace {

constexpr const char* training_prefix = "network-snapshot";

std::vector<SnapshotFile> usable_files(const std::filesystem::path& folder,
                                       const SnapshotFilter& filter,
                                       std::vector<std::string>& notes) {
  const std::vector<std::string> names = list_folder(folder);
  SnapshotList list = select_snapshots(names, filter);
  std::set<std::string> prefixes;
  for (const SnapshotFile& file : list.files) prefixes.insert(file.name.prefix);
  if (prefixes.size() > 1) {
    if (!prefixes.contains(training_prefix))
      throw Error("the snapshots in " + folder.string() + " have several prefixes ('" +
                  *prefixes.begin() + "', '" + *std::next(prefixes.begin()) +
                  "', ...), so it is not clear which of them belong together; move them into "
                  "folders of their own");
    SnapshotFilter narrower = filter;
    narrower.prefix = training_prefix;
    list = select_snapshots(names, narrower);
  }
  notes = std::move(list.notes);
  std::erase_if(list.files, [](const SnapshotFile& file) { return file.nimg == 0; });
  if (list.files.empty())
    throw Error("there are no snapshots in " + folder.string() +
                " (files such as network-snapshot-0001048-0.050.pkl)");
  check_no_duplicates(list.files);
  return std::move(list.files);
}

}  // namespace

struct Snapshots::State {
  std::filesystem::path folder;
  std::vector<std::string> notes;
  std::vector<SnapshotFile> files;
  std::map<std::pair<double, int64_t>, PostHocSolution> solutions;
  std::vector<OpenSnapshot> opened;  // the first of `files`, up to the latest time asked for

  // Number of files up to that time.
  size_t count_until(int64_t nimg) const {
    const auto end = std::find_if(files.begin(), files.end(),
                                  [&](const SnapshotFile& file) { return file.nimg > nimg; });
    if (end == files.begin() || std::prev(end)->nimg != nimg)
      throw Error("there is no snapshot of " + std::to_string(kimg_from_nimg(nimg)) + " kimg in " +
                  folder.string() + "; " + known_times());
    return static_cast<size_t>(end - files.begin());
  }

  std::string known_times() const {
    return "the first is of " + std::to_string(files.front().name.kimg) + ", the last of " +
           std::to_string(files.back().name.kimg) + " kimg";
  }
};

Snapshots::Snapshots(const std::filesystem::path& folder, SnapshotFilter filter)
    : state_(std::make_unique<State>()) {
  state_->folder = folder;
  state_->files = usable_files(folder, filter, state_->notes);
}

Snapshots::~Snapshots() = default;
Snapshots::Snapshots(Snapshots&&) noexcept = default;
Snapshots& Snapshots::operator=(Snapshots&&) noexcept = default;

const std::vector<SnapshotFile>& Snapshots::files() const { return state_->files; }
const std::vector<std::string>& Snapshots::notes() const { return state_->notes; }

const PostHocSolution& Snapshots::solve(double std, std::optional<int64_t> nimg) {
  const int64_t time = nimg.value_or(latest());
  const auto [entry, is_new] = state_->solutions.try_emplace({std, time});
  if (is_new) {
    try {
      const auto stored = profiles_of(std::span(state_->files).first(state_->count_until(time)));
      const EmaProfile target{time, std};
      entry->second = solve_posthoc(stored, std::span(&target, 1)).front();
    } catch (...) {
      state_->solutions.erase(entry);
      throw;
    }
  }
  return entry->second;
}

StateDict Snapshots::reconstruct_tensors(double std, std::optional<int64_t> nimg) {
  const PostHocSolution& solution = solve(std, nimg);
  auto& opened = state_->opened;
  const size_t count = solution.coefficients.size();
  if (opened.size() < count)
    opened = open_snapshots(state_->folder, state_->files, count, FileAccess::mapped);
  const std::span inputs(opened.data(), count);
  const SnapshotIndex result = describe_result(inputs);
  StateDictReceiver receiver(result);
  sum_snapshots(inputs, plan_sums(result, {solution.coefficients}), receiver);
  return receiver.take();
}

Snapshot Snapshots::reconstruct(double std, std::optional<int64_t> nimg) {
  StateDict tensors = reconstruct_tensors(std, nimg);
  const SnapshotIndex& first = state_->opened.front().index;
  if (!first.network)
    throw Error("the files in " + state_->folder.string() +
                " are state dicts, not snapshots of EDM2 networks");
  Snapshot snapshot = *first.network;
  snapshot.tensors = std::move(tensors);
  return snapshot;
}

}  // namespace edm2
