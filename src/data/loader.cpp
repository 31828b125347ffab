#include "edm2/data/loader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/ordered_workers.h"
#include "edm2/core/random.h"

namespace edm2 {

InfiniteSampler::InfiniteSampler(int64_t dataset_size, int64_t rank, int64_t replicas, int64_t seed,
                                 int64_t start)
    : size_(dataset_size), replicas_(replicas), seed_(seed), position_(start + rank) {
  TORCH_CHECK(dataset_size > 0 && replicas > 0 && rank >= 0 && rank < replicas && start >= 0,
              "[InfiniteSampler] arguments out of range");
}

int64_t InfiniteSampler::next() {
  const int64_t epoch = position_ / size_;
  if (epoch != epoch_) {
    epoch_ = epoch;
    order_.resize(static_cast<size_t>(size_));
    std::iota(order_.begin(), order_.end(), 0);
    NumpyRandom(static_cast<uint32_t>(seed_from_tuple({seed_, epoch}))).shuffle(order_);
  }
  const int64_t index = order_[static_cast<size_t>(position_ % size_)];
  position_ += replicas_;
  return index;
}

namespace {

using Indices = std::vector<int64_t>;

PrefetchLoader::Batch load(const ImageDataset& dataset, Indices indices) {
  std::vector<Tensor> images, labels;
  for (const int64_t index : indices) {
    auto item = dataset.item(index);
    images.push_back(std::move(item.image));
    labels.push_back(std::move(item.label));
  }
  return {at::stack(images), at::stack(labels), std::move(indices)};
}

}  // namespace

struct PrefetchLoader::Workers : OrderedWorkers<Batch, Indices> {
  using OrderedWorkers::OrderedWorkers;
};

PrefetchLoader::PrefetchLoader(const ImageDataset& dataset, InfiniteSampler sampler,
                               int64_t batch_size, int64_t threads, int64_t ahead) {
  const auto draw = [sampler = std::move(sampler), batch_size](int64_t) mutable {
    Indices indices(static_cast<size_t>(batch_size));
    for (auto& index : indices) index = sampler.next();
    return indices;
  };
  workers_ = std::make_unique<Workers>(
      static_cast<int>(std::max<int64_t>(threads, 1)), std::max(ahead, threads),
      std::numeric_limits<int64_t>::max(), draw,
      [&dataset](Indices indices) { return load(dataset, std::move(indices)); });
}

PrefetchLoader::~PrefetchLoader() = default;

PrefetchLoader::Batch PrefetchLoader::next() { return workers_->next(); }

}  // namespace edm2
