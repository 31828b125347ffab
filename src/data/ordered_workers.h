// Work done by several threads, results handed out in order.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace edm2 {

/// Computes work(0), work(1), ... work(end - 1) on `threads` threads, at most `window` results
/// ahead of the consumer, so that memory stays bounded. The destructor lets running calls finish
/// and starts no more. `work` must be callable from several threads at once.
template <class Result>
class OrderedWorkers {
 public:
  OrderedWorkers(int threads, int64_t window, int64_t end, std::function<Result(int64_t)> work)
      : window_(std::max<int64_t>(window, 1)), end_(end), work_(std::move(work)) {
    for (int i = 0; i < std::max(threads, 1); ++i) threads_.emplace_back([this] { run(); });
  }

  ~OrderedWorkers() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    room_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  OrderedWorkers(const OrderedWorkers&) = delete;
  OrderedWorkers& operator=(const OrderedWorkers&) = delete;

  /// The next result in order; waits for it. Rethrows what work() threw. Must not be called more
  /// than `end` times.
  Result next() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return done_.count(consumed_) != 0; });
    Outcome outcome = std::move(done_.extract(consumed_).mapped());
    // After an error the consumer stays where it is: asking again gives the same error.
    if (outcome.error) {
      done_[consumed_] = outcome;
      std::rethrow_exception(outcome.error);
    }
    ++consumed_;
    lock.unlock();
    room_.notify_one();
    return std::move(*outcome.result);
  }

 private:
  struct Outcome {
    std::optional<Result> result;
    std::exception_ptr error;
  };

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      room_.wait(
          lock, [this] { return stopping_ || started_ >= end_ || started_ < consumed_ + window_; });
      if (stopping_ || started_ >= end_) return;
      const int64_t job = started_++;
      lock.unlock();
      Outcome outcome;
      try {
        outcome.result = work_(job);
      } catch (...) {
        outcome.error = std::current_exception();
      }
      lock.lock();
      done_[job] = std::move(outcome);
      ready_.notify_one();
    }
  }

  const int64_t window_, end_;
  const std::function<Result(int64_t)> work_;
  std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::map<int64_t, Outcome> done_;
  int64_t started_ = 0, consumed_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace edm2
