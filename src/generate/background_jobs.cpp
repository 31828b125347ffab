#include "generate/background_jobs.h"

#include <algorithm>
#include <utility>

namespace edm2 {

BackgroundJobs::BackgroundJobs(size_t threads, size_t most_waiting)
    : most_waiting_(std::max<size_t>(most_waiting, 1)) {
  for (size_t i = 0; i < std::max<size_t>(threads, 1); ++i)
    threads_.emplace_back([this] { run(); });
}

BackgroundJobs::~BackgroundJobs() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void BackgroundJobs::rethrow_failure() {
  if (failure_) std::rethrow_exception(failure_);
}

void BackgroundJobs::add(std::function<void()> job) {
  std::unique_lock lock(mutex_);
  progress_.wait(lock, [this] { return failure_ || jobs_.size() < most_waiting_; });
  rethrow_failure();
  jobs_.push_back(std::move(job));
  lock.unlock();
  work_.notify_one();
}

void BackgroundJobs::finish() {
  std::unique_lock lock(mutex_);
  progress_.wait(lock, [this] { return jobs_.empty() && running_ == 0; });
  rethrow_failure();
}

void BackgroundJobs::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    ++running_;
    lock.unlock();
    progress_.notify_all();
    std::exception_ptr failure;
    try {
      job();
    } catch (...) {
      failure = std::current_exception();
    }
    job = nullptr;  // what it holds goes now, not with the next job
    lock.lock();
    --running_;
    if (failure && !failure_) {
      failure_ = failure;
      jobs_.clear();  // the run has failed
    }
    progress_.notify_all();
  }
}

}  // namespace edm2
