// Steps for edm2/train/measure.h, which leave no traces.
#include "train/trainer_state.h"

namespace edm2 {

void Trainer::setup_to_measure() {
  State& s = *state_;
  if (!s.data.dataset) load_data();
  const auto progress = std::exchange(s.progress, make_progress(ProgressStyle::quiet));
  s.log.report_to(s.progress);
  s.set_up(/*measuring=*/true);
  s.progress = progress;
  s.log.report_to(progress);
}

void Trainer::use_batch(int64_t batch_gpu, int64_t rounds) {
  State& s = *state_;
  s.batch_gpu = batch_gpu;
  s.num_rounds = rounds;
  s.options.batch_gpu = batch_gpu;
  s.options.batch_size = batch_gpu * rounds * s.group.size();
  s.data.start(s.options, s.group, s.run.cur_nimg, batch_gpu);
}

}  // namespace edm2
