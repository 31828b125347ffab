#include "generate/background_jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <semaphore>

#include "edm2/core/error.h"

namespace edm2 {

TEST(BackgroundJobs, AllAreDoneAtTheEnd) {
  for (const size_t threads : {1u, 4u}) {
    std::atomic<int> done = 0;
    BackgroundJobs jobs(threads, 3);
    for (int i = 0; i < 100; ++i) jobs.add([&] { ++done; });
    jobs.finish();
    EXPECT_EQ(done, 100);
    jobs.add([&] { ++done; });  // goes on after a pause
    jobs.finish();
    EXPECT_EQ(done, 101);
  }
}

TEST(BackgroundJobs, FewWaitAtATime) {
  std::counting_semaphore<> gate(0);
  std::atomic<int> added = 0;
  BackgroundJobs jobs(1, 2);
  std::thread producer([&] {
    for (int i = 0; i < 10; ++i) {
      jobs.add([&] { gate.acquire(); });
      ++added;
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_LE(added, 3);  // one runs, two wait
  gate.release(10);
  producer.join();
  jobs.finish();
  EXPECT_EQ(added, 10);
}

TEST(BackgroundJobs, TheFirstErrorEndsThem) {
  BackgroundJobs jobs(1, 100);
  std::atomic<int> done = 0;
  std::counting_semaphore<> gate(0);
  jobs.add([&] {
    gate.acquire();
    throw Error("the disk is full");
  });
  for (int i = 0; i < 20; ++i) jobs.add([&] { ++done; });
  gate.release();
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      jobs.finish();
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "the disk is full");
    }
  }
  EXPECT_THROW(jobs.add([&] { ++done; }), Error);
  EXPECT_EQ(done, 0);  // the others were dropped
}

TEST(BackgroundJobs, WithoutFinishOnlyRunningOnesEnd) {
  std::atomic<int> done = 0;
  {
    std::counting_semaphore<> started(0);
    BackgroundJobs jobs(1, 100);
    jobs.add([&] {
      started.release();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ++done;
    });
    for (int i = 0; i < 20; ++i) jobs.add([&] { ++done; });
    started.acquire();
  }
  EXPECT_EQ(done, 1);
}

}  // namespace edm2
