#include "support/small_training.h"

#include <ATen/ATen.h>

#include "support/small_models.h"

namespace edm2::test {

TrainOptions small_training(const std::filesystem::path& data, const std::filesystem::path& outdir,
                            int64_t label_dim) {
  TrainOptions o;
  o.data = data;
  o.outdir = outdir;
  o.use_labels = label_dim > 0;
  o.network = tiny_options(label_dim, 8, 8);
  o.status_nimg = o.snapshot_nimg = o.checkpoint_nimg = std::nullopt;
  o.device = "cpu";
  return o;
}

std::unique_ptr<Trainer> train(const TrainOptions& options) {
  auto trainer = std::make_unique<Trainer>(options, make_progress(ProgressStyle::quiet));
  trainer->setup();
  trainer->run();
  return trainer;
}

bool same_state(const StateDict& a, const StateDict& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].first != b[i].first || !a[i].second.equal(b[i].second)) return false;
  return true;
}

}  // namespace edm2::test
