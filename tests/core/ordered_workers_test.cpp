#include "core/ordered_workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace edm2 {

TEST(OrderedWorkers, ResultsComeInOrderWhoeverWorks) {
  for (const int threads : {0, 1, 4})
    for (const bool helping : {false, true}) {
      std::atomic<int64_t> ahead = 0, farthest = 0;
      OrderedWorkers<int64_t> workers(threads, /*window=*/5, 200, [&](int64_t i) {
        const int64_t now = ++ahead;
        for (int64_t most = farthest; now > most && !farthest.compare_exchange_weak(most, now);) {
        }
        return i * i;
      });
      for (int64_t i = 0; i < 200; ++i) {
        ASSERT_EQ(helping ? workers.next_helping() : workers.next(), i * i);
        --ahead;
      }
      EXPECT_LE(farthest, 6) << threads;  // the window, and one that has just been handed out
    }
}

TEST(OrderedWorkers, JobsAreDrawnOneAfterTheOther) {
  int64_t drawn = 0;  // no lock: draw() has one already
  OrderedWorkers<int64_t, std::pair<int64_t, int64_t>> workers(
      4, 8, 100, [&](int64_t number) { return std::pair(number, 3 * drawn++); },
      [](std::pair<int64_t, int64_t> job) { return job.second - 3 * job.first; });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(workers.next(), 0);
}

TEST(OrderedWorkers, ErrorsComeInTheirTurnAndStay) {
  for (const int threads : {0, 3}) {
    OrderedWorkers<int> workers(threads, 4, 10, [](int64_t i) {
      if (i >= 2) throw std::runtime_error(std::to_string(i));
      return static_cast<int>(i);
    });
    EXPECT_EQ(workers.next_helping(), 0);
    EXPECT_EQ(workers.next(), 1);
    for (int again = 0; again < 2; ++again) try {
        workers.next_helping();
        FAIL() << "no error";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "2");
      }
  }
}

TEST(OrderedWorkers, NothingIsStartedBehindAnError) {
  std::atomic<int> started = 0;
  OrderedWorkers<int> workers(1, 100, 100, [&](int64_t i) {
    ++started;
    if (i == 2) throw std::runtime_error("2");
    return 0;
  });
  workers.next();
  workers.next();
  EXPECT_THROW(workers.next(), std::runtime_error);
  EXPECT_THROW(workers.next_helping(), std::runtime_error);
  EXPECT_EQ(started, 3);
}

TEST(OrderedWorkers, ErrorsOfDrawingAreErrorsOfTheJob) {
  OrderedWorkers<int64_t, int64_t> workers(
      2, 4, 10,
      [](int64_t number) {
        if (number == 1) throw std::runtime_error("drawn");
        return number;
      },
      [](int64_t job) { return job; });
  EXPECT_EQ(workers.next(), 0);
  EXPECT_THROW(workers.next(), std::runtime_error);
}

}  // namespace edm2
