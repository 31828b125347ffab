// Work done by several threads, results handed out in order.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace edm2 {

/// One for each processor, at most `most`.
inline int worker_threads(int most = std::numeric_limits<int>::max()) {
  return static_cast<int>(
      std::clamp(std::thread::hardware_concurrency(), 1u, static_cast<unsigned>(most)));
}

/// Computes work(0), work(1), ... work(end - 1) on `threads` threads, at most `window` results
/// ahead of the consumer, so that memory stays bounded. With no threads the consumer does the work.
/// Once one has thrown, no more are started. The destructor lets running calls finish. `work` must
/// be callable from several threads at once.
///
/// Where jobs are more than numbers, draw(0), draw(1), ... are called in this order, one at a time,
/// and work() gets what they return.
template <class Result, class Job = int64_t>
class OrderedWorkers {
 public:
  OrderedWorkers(int threads, int64_t window, int64_t end,
                 std::function<Result(Job)> work) requires std::is_same_v<Job, int64_t>
      : OrderedWorkers(
            threads, window, end, [](int64_t number) { return number; }, std::move(work)) {}

  OrderedWorkers(int threads, int64_t window, int64_t end, std::function<Job(int64_t)> draw,
                 std::function<Result(Job)> work)
      : window_(std::max<int64_t>(window, 1)),
        draw_(std::move(draw)),
        work_(std::move(work)),
        end_(end) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
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
  Result next() { return next(/*helping=*/threads_.empty()); }

  /// The same, but meanwhile the calling thread works too: of `threads` + 1 threads none is idle,
  /// where the consumer has little else to do.
  Result next_helping() { return next(/*helping=*/true); }

 private:
  struct Outcome {
    std::optional<Result> result;
    std::exception_ptr error;
  };

  bool is_ready() const { return done_.count(consumed_) != 0; }
  bool can_start() const { return started_ < end_ && started_ < consumed_ + window_; }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      room_.wait(lock, [this] { return stopping_ || started_ >= end_ || can_start(); });
      if (stopping_ || started_ >= end_) return;
      do_one(lock);
      ready_.notify_one();
    }
  }

  /// The lock is held before and after, but not while work() runs.
  void do_one(std::unique_lock<std::mutex>& lock) {
    const int64_t number = started_++;
    Outcome outcome;
    try {
      Job job = draw_(number);
      lock.unlock();
      outcome.result.emplace(work_(std::move(job)));
    } catch (...) {
      outcome.error = std::current_exception();
    }
    if (!lock.owns_lock()) lock.lock();
    if (outcome.error) end_ = started_;  // the consumer never gets beyond it
    done_.emplace(number, std::move(outcome));
  }

  Result next(bool helping) {
    std::unique_lock lock(mutex_);
    while (helping && !is_ready() && can_start()) do_one(lock);
    ready_.wait(lock, [this] { return is_ready(); });
    const auto done = done_.find(consumed_);
    // After an error the consumer stays where it is: asking again gives the same error.
    if (done->second.error) std::rethrow_exception(done->second.error);
    Result result = std::move(*done->second.result);
    done_.erase(done);
    ++consumed_;
    lock.unlock();
    room_.notify_one();
    return result;
  }

  const int64_t window_;
  const std::function<Job(int64_t)> draw_;
  const std::function<Result(Job)> work_;
  std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::map<int64_t, Outcome> done_;
  int64_t started_ = 0, consumed_ = 0, end_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace edm2
