#include "edm2/core/cpu.h"

#include <gtest/gtest.h>

#include "support/run_program.h"

namespace edm2 {

TEST(Cpu, ChosenLevelIsNoMoreThanTheProcessorHas) {
  EXPECT_LE(cpu_level(), highest_cpu_level());
  EXPECT_EQ(cpu_level_name(CpuLevel::avx2), "avx2");
}

TEST(CpuCli, AWordThatIsNoLevelIsRefused) {
  const auto run = test::run_edm2({"--version"}, {.environment = {{"EDM2_CPU", "fast"}}});
  test::expect_error(run, 1, "EDM2_CPU='fast'");
}

}  // namespace edm2
