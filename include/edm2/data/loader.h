/// The endless order of training images, and threads that decode ahead of the trainer.
#pragma once

#include <memory>
#include <vector>

#include "edm2/data/dataset.h"

namespace edm2 {

/// Dataset indices in the original's order: every epoch is a full shuffle seeded by (seed, epoch),
/// and `replicas` processes take turns.
class InfiniteSampler {
 public:
  /// dataset_size >= 1, 0 <= rank < replicas, start >= 0: images that all processes have seen
  /// before.
  InfiniteSampler(int64_t dataset_size, int64_t rank = 0, int64_t replicas = 1, int64_t seed = 0,
                  int64_t start = 0);
  int64_t next();

 private:
  int64_t size_, replicas_, seed_, position_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;
};

/// Batches of a dataset in the sampler's order, decoded by `threads` threads up to `ahead` batches
/// early (at least one for each thread). The dataset must outlive it.
class PrefetchLoader {
 public:
  /// The items of one step.
  struct Batch {
    Tensor images;                 ///< [N,C,H,W] uint8 or float32
    Tensor labels;                 ///< [N,label_dim] float32
    std::vector<int64_t> indices;  ///< into the dataset
  };

  PrefetchLoader(const ImageDataset& dataset, InfiniteSampler sampler, int64_t batch_size,
                 int64_t threads = 2, int64_t ahead = 4);
  ~PrefetchLoader();
  PrefetchLoader(const PrefetchLoader&) = delete;
  PrefetchLoader& operator=(const PrefetchLoader&) = delete;

  /// The next batch. Throws what its decoding threw; then it is the last.
  Batch next();

 private:
  struct Workers;
  std::unique_ptr<Workers> workers_;
};

}  // namespace edm2
