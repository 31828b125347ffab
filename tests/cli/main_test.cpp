// The program itself: what stands before any command.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/paths.h"
#include "support/run_program.h"

namespace edm2::test {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST(MainCli, Version) {
  const RunResult result = run_edm2({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, testing::MatchesRegex("edm2 [0-9.]+\nlibtorch 2\\.[0-9.]+\nCPU .+\n"));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST(MainCli, Help) {
  for (const char* option : {"--help", "-h"}) {
    const RunResult result = run_edm2({option});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, HasSubstr("Usage: edm2"));
    EXPECT_THAT(result.err, IsEmpty());
  }
}

TEST(MainCli, NoCommandPrintsHelp) {
  const RunResult result = run_edm2({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("Usage: edm2"));
}

TEST(MainCli, UnknownOption) {
  const RunResult result = run_edm2({"--frobnicate=3"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, StartsWith("Usage: edm2"));
  EXPECT_THAT(result.err, HasSubstr("\n\nError: No such option '--frobnicate'.\n"));
  EXPECT_THAT(result.out, IsEmpty());
}

TEST(MainCli, UnknownCommand) {
  const RunResult result = run_edm2({"frobnicate"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("Error: No such command 'frobnicate'.\n"));
}

TEST(MainCli, FullDiskUnderStandardOutput) {
  const RunResult result =
      run_command({"sh", "-c", "\"$0\" --version > /dev/full", program().string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, StartsWith("Error: cannot write to standard output"));
}

TEST(MainCli, RunCommandTellsSignalsAndTimeouts) {
  const RunResult killed =
      run_command({"sleep", "20"}, {.kill_after = std::chrono::milliseconds(50)});
  EXPECT_EQ(killed.signal, 9);
  EXPECT_FALSE(killed.timed_out);
  const RunResult late = run_command({"sleep", "20"}, {.timeout = std::chrono::milliseconds(50)});
  EXPECT_TRUE(late.timed_out);
  EXPECT_EQ(run_command({"sh", "-c", "exit 7"}).exit_code, 7);
  EXPECT_EQ(run_command({"sh", "-c", "printf \"$X\""}, {.environment = {{"X", "y"}}}).out, "y");
}

TEST(MainCli, CheckOptionsParsesAndDoesNothing) {
  const test::TempDir dir;
  const std::string outdir = "--outdir=" + (dir / "out").string();
  const RunResult right = run_edm2({"--check-options", "generate", "--preset=demo", outdir});
  EXPECT_EQ(right.exit_code, 0) << right.err;
  EXPECT_EQ(right.out + right.err, "");
  EXPECT_FALSE(std::filesystem::exists(dir / "out"));
  EXPECT_EQ(run_edm2({"--check-options", "generate", "--net=x", "--seeds=0-7,9", outdir}).exit_code,
            0)
      << "values of every kind are parsed";
  const RunResult wrong = run_edm2({"--check-options", "generate", "--present=demo", outdir});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_NE(wrong.err.find("No such option '--present'"), std::string::npos) << wrong.err;
  EXPECT_EQ(run_edm2({"--check-options", "generate", "--steps=0"}).exit_code, 2);
  EXPECT_EQ(run_edm2({"--check-options", "dataset", "transmogrify"}).exit_code, 2);
}

}  // namespace edm2::test
