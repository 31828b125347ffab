// Which training state a run goes on from, and which ones it keeps.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "edm2/io/pickle.h"
#include "train/run_folder.h"

namespace edm2 {

struct StateFile {
  std::string name;  // "training-state-0001048.pt"
  int64_t kimg = 0;  // by its name
};

/// The files of that name pattern, newest first.
std::vector<StateFile> training_states(const std::filesystem::path& folder);

struct WholeState {
  std::filesystem::path path;
  PickleValue root;
};

/// The newest state that is whole: by its checksum, if it is listed, and because it can be read to
/// its end. Says of every one that it passes over why. None if there are no states; throws Error if
/// there are some but all are damaged, for a new run would overwrite what somebody may yet repair.
std::optional<WholeState> newest_whole_state(const RunFolder& folder,
                                             const std::function<void(const std::string&)>& say);

/// Reads every byte of the state back and compares it with the checksums made while it was written.
/// Throws Error.
void check_state(const RunFolder& folder, const std::string& name);

/// Deletes the states before `newest`, which check_state() has found good, but for the last
/// keep - 1 of them. Later ones (damaged, and passed over) are left alone.
void remove_old_states(RunFolder& folder, const std::string& newest, int64_t keep);

}  // namespace edm2
