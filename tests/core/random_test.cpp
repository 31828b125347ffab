#include "edm2/core/random.h"

#include <gtest/gtest.h>

#include <numeric>

namespace edm2 {

TEST(TupleHash, MatchesTheTableOfTheSpecification) {
  EXPECT_EQ(tuple_hash({0, 0}), 0x8a9ea73517b2b067u);
  EXPECT_EQ(tuple_hash({-1, 0}), 0x23be106572993a50u);
  EXPECT_EQ(tuple_hash({-2, 0}), 0x23be106572993a50u);
  EXPECT_EQ(tuple_hash({int64_t{1} << 61, 0, 0}), 0x6cca3ee08bfceb50u);
  EXPECT_EQ(tuple_hash({(int64_t{1} << 61) - 1, 0, 0}), tuple_hash({0, 0, 0}));
  EXPECT_EQ(seed_from_tuple({0, 0}), 397586535);
  EXPECT_EQ(seed_from_tuple({123456789, 3, int64_t{1} << 31}), 1462129249);
  EXPECT_EQ(seed_from_tuple({1, 3, 4096}), 1880438730);
}

TEST(NumpyRandom, ShufflesAsNumpy) {
  std::vector<int64_t> order(10);
  std::iota(order.begin(), order.end(), 0);
  NumpyRandom(0).shuffle(order);
  EXPECT_EQ(order, (std::vector<int64_t>{2, 8, 4, 9, 1, 6, 7, 3, 0, 5}));
  std::iota(order.begin(), order.end(), 0);
  NumpyRandom(397586535).shuffle(order);
  EXPECT_EQ(order, (std::vector<int64_t>{6, 8, 9, 7, 2, 3, 0, 1, 5, 4}));
}

}  // namespace edm2
