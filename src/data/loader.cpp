#include "edm2/data/loader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

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

PrefetchLoader::PrefetchLoader(const ImageDataset& dataset, InfiniteSampler sampler,
                               int64_t batch_size, int64_t threads, int64_t ahead)
    : dataset_(dataset),
      sampler_(std::move(sampler)),
      batch_size_(batch_size),
      ahead_(std::max(ahead, threads)) {
  for (int64_t i = 0; i < std::max<int64_t>(threads, 1); ++i)
    threads_.emplace_back([this] { work(); });
}

PrefetchLoader::~PrefetchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void PrefetchLoader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || started_ < taken_ + ahead_; });
    if (stopping_) return;
    const int64_t number = started_++;
    std::vector<int64_t> indices(static_cast<size_t>(batch_size_));
    for (auto& index : indices) index = sampler_.next();
    lock.unlock();

    Slot slot;
    try {
      slot.batch = load(std::move(indices));
    } catch (...) {
      slot.error = std::current_exception();
    }

    lock.lock();
    ready_.emplace(number, std::move(slot));
    changed_.notify_all();
  }
}

PrefetchLoader::Batch PrefetchLoader::load(std::vector<int64_t> indices) const {
  std::vector<Tensor> images, labels;
  for (const int64_t index : indices) {
    auto item = dataset_.item(index);
    images.push_back(std::move(item.image));
    labels.push_back(std::move(item.label));
  }
  return {at::stack(images), at::stack(labels), std::move(indices)};
}

PrefetchLoader::Batch PrefetchLoader::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return ready_.count(taken_) != 0; });
  Slot slot = std::move(ready_.extract(taken_).mapped());
  ++taken_;
  lock.unlock();
  changed_.notify_all();
  if (slot.error) std::rethrow_exception(slot.error);
  return std::move(slot.batch);
}

}  // namespace edm2
