#include "edm2/ema/run_source.h"

#include <gtest/gtest.h>

#include <fstream>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {

TEST(RunSource, LengthAndTimeBehindAFolder) {
  const auto plain = parse_run_source("runs/photos@0.135");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->folder, "runs/photos");
  EXPECT_EQ(plain->std, 0.135);
  EXPECT_FALSE(plain->kimg);
  EXPECT_EQ(plain->text(), "runs/photos@0.135");
  const auto timed = parse_run_source("a@b@.1,kimg=8388");
  ASSERT_TRUE(timed);
  EXPECT_EQ(timed->folder, "a@b");
  EXPECT_EQ(timed->kimg, 8388);
  EXPECT_EQ(timed->text(), "a@b@0.1,kimg=8388");
  EXPECT_EQ(parse_run_source((RunSource{"r", 0.05 + 0.1, {}}).text())->std, 0.05 + 0.1);
}

TEST(RunSource, OtherTextsAreNone) {
  for (const char* text : {"net.pkl", "@0.1", "a@", "net@2x.pkl", "https://me@host/net.pkl",
                           "http://host/run@0.1", "a@0.1,kimg=", "a@0.1,kimg=0", "a@0.1,std=2"})
    EXPECT_FALSE(parse_run_source(text)) << text;
  EXPECT_THROW(parse_run_source("a@0.3"), Error);
  EXPECT_THROW(parse_run_source("a@0"), Error);
  const test::TempDir dir;
  EXPECT_THROW(parse_run_source(dir.path().string() + "@sharp"), Error);
  std::ofstream(dir / "net@0.1") << "a file";
  EXPECT_FALSE(parse_run_source((dir / "net@0.1").string()));
}

}  // namespace edm2
