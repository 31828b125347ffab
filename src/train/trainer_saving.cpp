// What a run writes between its steps.
#include <nlohmann/json.hpp>

#include "edm2/ema/snapshot_name.h"
#include "edm2/nn/snapshot.h"
#include "train/trainer_state.h"

namespace edm2 {
namespace fs = std::filesystem;

DueWork Trainer::State::due_work() const {
  const auto due = [this](const std::optional<int64_t>& interval) {
    return interval && *interval > 0 && run.cur_nimg % *interval == 0;
  };
  const bool unwritten = has_begun() || start_nimg == 0;  // by an earlier start of the run
  const bool retry = !save_error.empty() && due(options.status_nimg);
  return {.status = options.status_nimg && (is_done() || due(options.status_nimg)) && unwritten,
          .snapshots = due(options.snapshot_nimg) && unwritten,
          .samples = due(options.samples.every_nimg) && unwritten,
          .state = options.checkpoint_nimg &&
                   (is_done() || due(options.checkpoint_nimg) || retry) && has_begun()};
}

void Trainer::State::write_status() {
  const StatusReport::Entry entry = status->take(run);
  if (!group.is_main()) return;
  files.add_stats(entry.line);
  events->add(run.cur_nimg, entry.values);
  events->add(run.cur_nimg, entry.extra);
}

void Trainer::State::save_snapshots() {
  if (!group.is_main()) return;  // the others meet it at the next sum
  PowerFunctionEma& ema = *learner.ema;
  ema.copy_buffers(learner.network->state_dict());
  for (size_t i = 0; i < ema.stds().size(); ++i) {
    Snapshot snapshot = make_snapshot(learner.network->options(), ema.weights(i));
    snapshot.encoder = data.encoder->options();
    snapshot.dataset = DatasetOptions{options.data.string(), options.use_labels,
                                      data.dataset->label_kind() == LabelKind::vectors};
    snapshot.loss = learner.loss;
    const std::string name =
        SnapshotName{"network-snapshot", kimg_from_nimg(run.cur_nimg), ema.stds()[i]}.file_name();
    files.save(name, name, [&](const fs::path& path) {
      save_snapshot(path, snapshot, SnapshotFormat::pickle);
    });
  }
}

void Trainer::State::draw_samples() {
  if (group.is_main()) {
    learner.ema->copy_buffers(learner.network->state_dict());
    write_sample_grids(sample_grid->draw(*learner.ema, device), options.outdir, run.cur_nimg,
                       *events, log);
  }
  group.barrier();  // sampling takes its time
}

void Trainer::State::save_state() {
  run.more = status->save();
  std::string error;
  if (group.is_main())
    error = files.save_state(training_state_name(run.cur_nimg), [&](const fs::path& path) {
      save_training_state(path, run, *learner.network, learner.loss, learner.last_lr,
                          *learner.optimizer, *learner.ema);
    });
  group.barrier();  // large files take their time
  save_error = group.broadcast(error);
  if (save_error.empty()) saved_nimg = run.cur_nimg;
  check_same_weights(*learner.network, group);
}

}  // namespace edm2
