// Going on from the newest training state.
#include <nlohmann/json.hpp>

#include "edm2/io/torch_file.h"
#include "train/kept_settings.h"
#include "train/trainer_state.h"

namespace edm2 {
namespace fs = std::filesystem;

/// The first process chooses the state, so that all resume from the same.
void Trainer::State::resume() {
  std::optional<WholeState> state;
  if (group.is_main()) state = files.newest_state();
  const fs::path chosen = group.broadcast(state ? state->path.string() : std::string());
  if (!chosen.empty()) {
    const PickleValue root = state ? std::move(state->root) : load_torch_file(chosen);
    run = load_training_state(chosen, root, *learner.network, learner.loss, *learner.optimizer,
                              *learner.ema);
    log.line("Loading " + chosen.string() + " ... done");
    keep_settings_of(chosen);
  }
  status->restore(run);
  if (group.is_main()) {
    files.note_settings(config());
    files.begin(run.cur_nimg);
  }
  group.barrier();  // large files take their time
  check_same_weights(*learner.network, group);
}

/// From here on the options say what the training state has brought along.
void Trainer::State::keep_settings_of(const fs::path& state) {
  const nlohmann::json earlier = group.is_main() ? read_run_config(options.outdir) : nullptr;
  std::string kept;
  for (const auto& sentence : keep_settings(options, learner.loss, learner.ema->stds(), earlier))
    kept += (kept.empty() ? "" : "; ") + sentence;
  if (!kept.empty())
    log.line("Note: the run goes on from " + state.filename().string() +
             " with what that holds: " + kept);
}

}  // namespace edm2
