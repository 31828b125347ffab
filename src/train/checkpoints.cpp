#include "train/checkpoints.h"

#include <algorithm>
#include <regex>

#include "edm2/core/error.h"
#include "edm2/io/torch_file.h"
#include "edm2/io/zip.h"

namespace edm2 {
namespace fs = std::filesystem;

std::vector<StateFile> training_states(const fs::path& folder) {
  static const std::regex pattern(R"(training-state-(\d{1,18}).pt)");  // as in the original
  std::vector<StateFile> states;
  if (!fs::is_directory(folder)) return states;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::smatch match;
    if (entry.is_regular_file() && std::regex_match(name, match, pattern))
      states.push_back({name, std::stoll(match[1])});
  }
  std::sort(states.begin(), states.end(), [](const StateFile& a, const StateFile& b) {
    return a.kimg != b.kimg ? a.kimg > b.kimg : a.name < b.name;
  });
  return states;
}

std::optional<WholeState> newest_whole_state(const RunFolder& folder,
                                             const std::function<void(const std::string&)>& say) {
  const auto states = training_states(folder.path());
  for (const StateFile& state : states) {
    const fs::path path = folder.path() / state.name;
    std::optional<std::string> damage;
    try {
      damage = folder.damage(state.name);
      if (!damage) return WholeState{path, load_torch_file(path)};
    } catch (const Error& error) {
      damage = error.what();
    }
    say("Skipping " + path.string() + ", which is damaged: " + *damage);
  }
  if (states.empty()) return std::nullopt;
  throw Error("no training state in '" + folder.path().string() + "' is whole (" +
              std::to_string(states.size()) +
              " damaged); move them away to begin the run anew, or choose another --outdir");
}

void check_state(const RunFolder& folder, const std::string& name) {
  if (const auto damage = folder.damage(name))
    throw Error("the training state " + (folder.path() / name).string() +
                " is not what was written: " + *damage);
  const ZipReader zip(folder.path() / name);
  for (size_t i = 0; i < zip.entries().size(); ++i) zip.read(i);  // compares its CRC-32
}

void remove_old_states(RunFolder& folder, const std::string& newest, int64_t keep) {
  const auto states = training_states(folder.path());
  const auto at = std::find_if(states.begin(), states.end(),
                               [&](const StateFile& state) { return state.name == newest; });
  std::vector<std::string> old;
  for (auto it = at; it != states.end(); ++it)
    if (it - at >= keep) old.push_back(it->name);
  folder.remove(old);
}

}  // namespace edm2
