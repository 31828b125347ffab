// Work that goes on while the caller does something else.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace edm2 {

/// Runs jobs on threads of its own, in no particular order. At most `most_waiting` jobs wait, so
/// that what they hold stays bounded.
class BackgroundJobs {
 public:
  BackgroundJobs(size_t threads, size_t most_waiting);
  /// Lets running jobs end and drops those that wait: call finish() first.
  ~BackgroundJobs();
  BackgroundJobs(const BackgroundJobs&) = delete;
  BackgroundJobs& operator=(const BackgroundJobs&) = delete;

  /// Waits while too many jobs wait. Rethrows what an earlier job threw.
  void add(std::function<void()> job);
  /// Waits until all jobs are done. Rethrows what the first failed one threw.
  void finish();

 private:
  void run();
  void rethrow_failure();

  const size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable work_, progress_;  // there is a job to take; a job was taken or is done
  std::deque<std::function<void()>> jobs_;
  size_t running_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace edm2
