// Groups whose processes are threads of this test; the program's tests have real processes.
#include "edm2/core/process_group.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "support/free_port.h"

namespace edm2 {
namespace {

using testing::HasSubstr;

ProcessEnvironment environment_of(int rank, int size, int port) {
  ProcessEnvironment e;
  e.rank = e.local_rank = rank;
  e.size = size;
  e.master_addr = "127.0.0.1";
  e.master_port = port;
  return e;
}

/// Runs `work` as every rank of a group; returns what each threw ("" if nothing).
std::vector<std::string> run_group(int size, const std::function<void(ProcessGroup&)>& work,
                                   const ProcessGroupOptions& options = {}) {
  silence_libtorch_log();
  const int port = test::free_port();
  std::vector<std::string> errors(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        ProcessGroup group(environment_of(rank, size, port), options);
        work(group);
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  for (auto& thread : threads) thread.join();
  return errors;
}

void expect_no_errors(const std::vector<std::string>& errors) {
  for (const auto& error : errors) EXPECT_EQ(error, "");
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST(ProcessGroup, AloneNothingIsExchanged) {
  const auto group = ProcessGroup::single();
  EXPECT_TRUE(group->is_main());
  EXPECT_EQ(group->size(), 1);
  group->barrier();
  const Tensor x = at::ones({3});
  group->all_reduce_sum(x);
  group->start_all_reduce_sum(x).wait();
  group->broadcast(x);
  EXPECT_TRUE(at::equal(x, at::ones({3})));
  EXPECT_EQ(group->broadcast(std::string("a")), "a");
  EXPECT_EQ(group->gather(std::string("a")), std::vector<std::string>{"a"});
  EXPECT_EQ(group->sum(2), 2);
  EXPECT_FALSE(group->failed());
  const auto [failure, tell] = group->report_failure("why", 3);
  EXPECT_EQ(failure.reason, "why");
  EXPECT_TRUE(tell);
}

TEST(ProcessGroup, SumsAndExchanges) {
  for (const int size : {2, 3, 5}) {
    expect_no_errors(run_group(size, [&](ProcessGroup& group) {
      const int rank = group.rank();
      const Tensor x = at::full({2, 3}, static_cast<double>(rank + 1));
      group.all_reduce_sum(x);
      EXPECT_TRUE(at::equal(x, at::full({2, 3}, size * (size + 1) / 2.0)));
      group.barrier();
      const Tensor y = at::full({4}, rank, at::kLong);
      group.broadcast(y, 1);
      EXPECT_TRUE(at::equal(y, at::ones({4}, at::kLong)));
      EXPECT_EQ(group.broadcast("from " + std::to_string(rank), 1), "from 1");
      EXPECT_EQ(group.broadcast(std::string()), "");
      EXPECT_EQ(group.sum(rank), size * (size - 1) / 2.0);
      EXPECT_EQ(group.min(rank + 0.25), 0.25);
      EXPECT_EQ(group.max(rank), size - 1);
      const auto texts = group.gather(std::string(static_cast<size_t>(rank), 'x'));
      ASSERT_EQ(texts.size(), rank == 0 ? static_cast<size_t>(size) : 0u);
      for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], std::string(i, 'x'));
      const auto parts = group.gather(at::full({rank, 2}, rank, at::kHalf));
      for (size_t i = 0; i < parts.size(); ++i) {
        const auto n = static_cast<int64_t>(i);
        EXPECT_TRUE(at::equal(parts[i], at::full({n, 2}, n, at::kHalf)));
      }
    }));
  }
}

TEST(ProcessGroup, ManySumsUnderWay) {
  expect_no_errors(run_group(3, [](ProcessGroup& group) {
    std::vector<Tensor> tensors;
    std::vector<ProcessGroup::Reduction> sums;
    for (int i = 0; i < 50; ++i) {
      tensors.push_back(at::full({1000 + i}, static_cast<double>(i)));
      sums.push_back(group.start_all_reduce_sum(tensors.back()));
    }
    for (auto& sum : sums) sum.wait();
    for (int i = 0; i < 50; ++i)
      EXPECT_TRUE(at::equal(tensors[static_cast<size_t>(i)], at::full({1000 + i}, 3.0 * i)));
  }));
}

TEST(ProcessGroup, SumsRepeatBitForBitAndAgree) {
  constexpr int size = 4;
  std::vector<std::vector<Tensor>> results(2);
  for (auto& result : results) {
    result.resize(size);
    expect_no_errors(run_group(size, [&](ProcessGroup& group) {
      auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(group.rank()));
      const Tensor x = at::randn({12345}, generator) * std::pow(10.0, group.rank());
      group.all_reduce_sum(x);
      result[static_cast<size_t>(group.rank())] = x;
    }));
  }
  for (const auto& result : results)
    for (const Tensor& x : result) EXPECT_TRUE(at::equal(x, results[0][0]));
}

TEST(ProcessGroup, ReportedFailureEndsAllWithNameAndReason) {
  std::atomic<int> told = 0;
  const auto errors = run_group(3, [&](ProcessGroup& group) {
    if (group.rank() == 1) {
      const auto [failure, tell] = group.report_failure("the cat sat on it", 7);
      EXPECT_EQ(failure.rank, 1);
      told += tell;
      return;
    }
    try {
      group.barrier();
      FAIL() << "the barrier was passed";
    } catch (const GroupError& error) {
      EXPECT_EQ(error.failure.rank, 1);
      EXPECT_EQ(error.failure.exit_code, 7);
      EXPECT_TRUE(group.failed());
      EXPECT_THROW(group.check(), GroupError);
      const auto [failure, tell] = group.report_failure(error.what(), 1);
      EXPECT_EQ(failure.describe(), error.failure.describe());
      EXPECT_EQ(tell, group.rank() == 0);
      told += tell;
      throw;
    }
  });
  EXPECT_THAT(errors[0], HasSubstr("rank 1 on "));
  EXPECT_THAT(errors[0], testing::EndsWith(": the cat sat on it"));
  EXPECT_EQ(errors[2], errors[0]);
  EXPECT_EQ(told, 1) << "one process tells the user";
}

TEST(ProcessGroup, FirstFailureStands) {
  const auto errors = run_group(3, [&](ProcessGroup& group) {
    group.barrier();
    const auto [failure, tell] =
        group.report_failure("reason of " + std::to_string(group.rank()), 1);
    throw GroupError(failure);
  });
  EXPECT_THAT(errors[0], HasSubstr("reason of "));
  EXPECT_EQ(errors[1], errors[0]);
  EXPECT_EQ(errors[2], errors[0]);
}

TEST(ProcessGroup, LeavingEarlyIsNoticed) {
  const auto errors = run_group(2, [](ProcessGroup& group) {
    group.barrier();
    if (group.rank() == 0) group.all_reduce_sum(at::ones({2}));
  });
  EXPECT_THAT(errors[0], HasSubstr("rank 1 on "));
  EXPECT_EQ(errors[1], "");
}

TEST(ProcessGroup, WhoIsLateIsNamed) {
  ProcessGroupOptions options;
  options.time_limit = 1;
  std::vector<std::string> errors;
  const double seconds = seconds_of([&] {
    errors = run_group(
        3,
        [](ProcessGroup& group) {
          group.barrier();
          if (group.rank() == 2) {
            while (!group.failed()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
            group.check();
          }
          group.all_reduce_sum(at::ones({2}));
        },
        options);
  });
  for (const auto& error : errors) {
    EXPECT_THAT(error, HasSubstr("rank 2 on "));
    EXPECT_THAT(error, HasSubstr("time limit of 1 s"));
  }
  EXPECT_LT(seconds, 20);
}

TEST(ProcessGroup, WhoHangsIsTold) {
  std::atomic<int> called = 0;
  std::atomic<bool> go_on = false;
  ProcessGroupOptions options;
  options.time_limit = 1;
  options.on_stuck = [&](const ProcessFailure& failure, bool) {
    EXPECT_EQ(failure.reason, "ended");
    ++called;
    go_on = true;
  };
  run_group(
      2,
      [&](ProcessGroup& group) {
        if (group.rank() == 1) {
          group.report_failure("ended", 1);
          return;
        }
        while (!go_on) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      },
      options);
  EXPECT_EQ(called, 1);
}

TEST(ProcessGroup, WhoDoesNotComeIsNamed) {
  silence_libtorch_log();
  ProcessGroupOptions options;
  options.time_limit = 1;
  try {
    ProcessGroup group(environment_of(0, 2, test::free_port()), options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 1 has not come within 1 s"));
  }
}

TEST(ProcessGroup, NobodyThere) {
  silence_libtorch_log();
  ProcessGroupOptions options;
  options.time_limit = 1;
  try {
    ProcessGroup group(environment_of(1, 2, test::free_port()), options);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("rank 1: cannot reach rank 0 at 127.0.0.1:"));
  }
}

TEST(ProcessGroup, PortInUse) {
  const test::Listener busy;
  try {
    ProcessGroup group(environment_of(0, 2, busy.port()), {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("port " + std::to_string(busy.port())));
    EXPECT_THAT(error.what(), HasSubstr("is in use"));
  }
}

TEST(ProcessGroup, TwoWithOneRankAndOtherSizes) {
  silence_libtorch_log();
  const int port = test::free_port();
  const auto join = [&](int rank, int size) {
    try {
      ProcessGroupOptions options;
      options.time_limit = 20;
      ProcessGroup group(environment_of(rank, size, port), options);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  std::string first, second, third;
  std::thread a([&] { first = join(0, 3); }), b([&] { second = join(1, 3); }),
      c([&] { third = join(1, 3); });
  a.join();
  b.join();
  c.join();
  EXPECT_THAT(first, HasSubstr("two processes have this rank"));
  EXPECT_THAT(second, HasSubstr("two processes have this rank"));
  EXPECT_THAT(third, HasSubstr("two processes have this rank"));
  std::thread d([&] { first = join(0, 2); }), e([&] { second = join(1, 3); });
  d.join();
  e.join();
  EXPECT_THAT(first, HasSubstr("processes of edm2"));
  EXPECT_THAT(second, HasSubstr("processes of edm2"));
}

}  // namespace edm2
