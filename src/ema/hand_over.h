// Hands values from one thread to another.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace edm2 {

/// First in, first out. After close() nothing more goes in, and what is in it may still be taken;
/// after abort() nothing comes out either.
template <class T>
class HandOver {
 public:
  /// False if the queue is closed.
  bool put(T value) {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    values_.push_back(std::move(value));
    changed_.notify_one();
    return true;
  }
  /// Waits for a value; none if there will be no more.
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !values_.empty(); });
    if (values_.empty()) return std::nullopt;
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  void abort() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    values_.clear();
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
  bool closed_ = false;
};

}  // namespace edm2
