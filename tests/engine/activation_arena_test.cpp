#include "engine/activation_arena.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <stdexcept>
#include <thread>

namespace edm2 {
namespace {

Tensor numbers(int64_t size) {
  return ActivationArena::empty({1, size, 1, 1}, at::kFloat, at::MemoryFormat::ChannelsLast);
}
Tensor filled(int64_t size, float value) { return numbers(size).fill_(value); }
bool holds(const Tensor& x, float value) { return x.eq(value).all().item<bool>(); }

/// A chain in which each tensor is made of the one before.
float chain(const std::vector<int64_t>& sizes) {
  Tensor x = filled(sizes[0], 1);
  for (const int64_t size : sizes) {
    const Tensor y = filled(size, 2);
    const Tensor z = filled(size, 3);
    EXPECT_TRUE(holds(y, 2) && holds(z, 3) && holds(x, x.const_data_ptr<float>()[0]));
    x = filled(size, x.const_data_ptr<float>()[0] + 1);
  }
  return x.const_data_ptr<float>()[0];
}

}  // namespace

TEST(PlanMemory, TensorsThatLiveTogetherDoNotOverlap) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<MemoryRequest> requests(1 + random() % 40);
    int64_t events = 0;
    size_t sum = 0;
    for (MemoryRequest& request : requests) {
      request.size = 1 + random() % 5000;
      request.begin = ++events;
      request.end = random() % 8 == 0 ? 0 : request.begin + 1 + static_cast<int64_t>(random() % 12);
      sum += request.size + 64;
    }
    const size_t total = plan_memory(requests);
    EXPECT_LE(total, sum);
    for (const MemoryRequest& a : requests) {
      if (a.end == 0) continue;
      EXPECT_EQ(a.offset % 64, 0u);
      EXPECT_LE(a.offset + a.size, total);
      for (const MemoryRequest& b : requests)
        if (&a != &b && b.end != 0 && a.begin < b.end && b.begin < a.end) {
          EXPECT_TRUE(a.offset + a.size <= b.offset || b.offset + b.size <= a.offset);
        }
    }
  }
}

TEST(PlanMemory, MemoryIsUsedAgain) {
  std::vector<MemoryRequest> one_after_the_other = {{100, 1, 2}, {100, 3, 4}, {100, 5, 6}};
  EXPECT_EQ(plan_memory(one_after_the_other), 100u);
  std::vector<MemoryRequest> none;
  EXPECT_EQ(plan_memory(none), 0u);
}

TEST(ActivationArena, PlansWhatItHasSeen) {
  ActivationArena arena;
  const std::vector<int64_t> sizes = {100, 3000, 50, 70000, 1};
  std::set<const void*> places;
  for (int i = 0; i < 4; ++i)
    arena.run(1, [&] {
      EXPECT_EQ(chain(sizes), 6);
      if (i > 0)
        places.insert(filled(100, 1).const_data_ptr());
      else
        filled(100, 1);
    });
  EXPECT_EQ(arena.planned_requests(), 3 * 17);
  EXPECT_EQ(places.size(), 1u);  // the same place each time
}

TEST(ActivationArena, WhatOutlivesTheWorkStays) {
  ActivationArena arena;
  std::vector<Tensor> kept;
  for (int i = 0; i < 4; ++i)
    arena.run(1, [&] {
      const Tensor first = filled(1000, 7);
      kept.push_back(filled(1000, static_cast<float>(i)));
      EXPECT_EQ(chain({1000, 1000}), 3);
    });
  for (int i = 0; i < 4; ++i)
    EXPECT_TRUE(holds(kept[static_cast<size_t>(i)], static_cast<float>(i)));
  EXPECT_EQ(arena.planned_requests(), 3 * 8);
}

TEST(ActivationArena, OtherWorkThanBeforeIsNotedAnew) {
  ActivationArena arena;
  const auto work = [&](const std::vector<int64_t>& sizes) {
    arena.run(1, [&] { EXPECT_EQ(chain(sizes), static_cast<float>(sizes.size() + 1)); });
  };
  work({10, 20, 30});
  work({10, 20, 30});
  work({10, 20, 40});  // leaves the plan
  work({10, 20, 40});  // is noted
  const int64_t before = arena.planned_requests();
  work({10, 20, 40});
  EXPECT_EQ(arena.planned_requests() - before, 10);
}

TEST(ActivationArena, WorkThatTwoRunsFindChangedIsNotedAnew) {
  ActivationArena arena;
  const auto work = [&](const std::vector<int64_t>& sizes) { arena.run(1, [&] { chain(sizes); }); };
  work({10});
  arena.run(1, [&] {
    work({20});  // leaves the plan, and so does the run around it
    chain({30});
  });
  work({30});
  work({30});
  EXPECT_EQ(arena.planned_requests(), 4);
}

TEST(ActivationArena, TheOrderOfFreeingIsPartOfTheWork) {
  ActivationArena arena;
  Tensor outer;
  const auto work = [&](bool keep) {
    arena.run(1, [&] {
      Tensor a = filled(500, 1);
      if (keep) outer = a;
      a = Tensor();
      const Tensor b = filled(500, 2);  // in a's place, if a is gone
      EXPECT_TRUE(!keep || holds(outer, 1));
      EXPECT_TRUE(holds(b, 2));
    });
  };
  work(false);
  work(false);
  work(true);
  EXPECT_TRUE(holds(outer, 1));
  work(false);
  EXPECT_TRUE(holds(outer, 1));
}

TEST(ActivationArena, SurvivesExceptions) {
  ActivationArena arena;
  const auto fail = [&] {
    arena.run(1, [] {
      const Tensor a = filled(500, 1);
      throw std::runtime_error("stop");
    });
  };
  EXPECT_THROW(fail(), std::runtime_error);
  for (int i = 0; i < 3; ++i) arena.run(1, [] { EXPECT_EQ(chain({500}), 2); });
  EXPECT_THROW(fail(), std::runtime_error);
  const Tensor outside = filled(500, 4);  // not of an arena
  arena.run(1, [] { EXPECT_EQ(chain({500}), 2); });
  EXPECT_TRUE(holds(outside, 4));
}

TEST(ActivationArena, ThreadsHaveBlocksOfTheirOwn) {
  ActivationArena arena, other;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        (t % 2 == 0 ? arena : other).run(t / 2, [&] {
          EXPECT_EQ(chain({1000 * (1 + t), 2000, 500}), 4);
        });
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(arena.planned_requests() + other.planned_requests(), 0);
}

}  // namespace edm2
