// What a run learns from.
#pragma once

#include <memory>

#include "edm2/core/process_group.h"
#include "edm2/data/encoder.h"
#include "edm2/data/loader.h"
#include "edm2/train/train_options.h"

namespace edm2 {

struct TrainingData {
  std::unique_ptr<ImageDataset> dataset;
  std::unique_ptr<Encoder> encoder;
  std::unique_ptr<PrefetchLoader> loader;  // after the dataset: its threads read from it

  /// Opens and checks dataset and encoder; options.network learns what they say of it. Throws
  /// Error.
  void load(TrainOptions& options);
  /// Sentences on what is allowed, but seldom meant: attention that falls away, numbers or labels
  /// of an unusual size.
  std::vector<std::string> notes(const NetworkOptions& network) const;
  /// From here on the loader gives batches of batch_gpu images that follow cur_nimg others.
  void start(const TrainOptions& options, const ProcessGroup& group, int64_t cur_nimg,
             int64_t batch_gpu);
};

}  // namespace edm2
