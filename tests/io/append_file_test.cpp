#include "edm2/io/append_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "edm2/core/error.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

using test::read_file;

TEST(AppendFile, AppendsWhatItGets) {
  const test::TempDir dir;
  {
    AppendFile file;
    EXPECT_FALSE(file.is_open());
    file.open(dir / "log");
    EXPECT_TRUE(file.append("one\n"));
    EXPECT_EQ(read_file(dir / "log"), "one\n") << "at once";
    EXPECT_TRUE(file.sync());
  }
  AppendFile file;
  file.open(dir / "log");
  EXPECT_TRUE(file.append("two\n"));
  EXPECT_EQ(read_file(dir / "log"), "one\ntwo\n");
  AppendFile nowhere;
  EXPECT_THROW(nowhere.open(dir / "missing" / "log"), Error);
}

TEST(AppendFile, EndsALineThatAKillHasTorn) {
  const test::TempDir dir;
  for (const std::string& torn : {std::string("one\ntw"), "one\ntw" + std::string(100, '\0')}) {
    std::ofstream(dir / "log", std::ios::binary) << torn;
    AppendFile file;
    file.open(dir / "log");
    file.append("three\n");
    EXPECT_EQ(read_file(dir / "log"), "one\ntw\nthree\n");
  }
}

// In a process of its own, because a raised limit cannot be told from none afterwards.
TEST(AppendFile, KeepsWhatAFullDiskDoesNotTake) {
  const test::TempDir dir;
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    AppendFile file;
    file.open(dir / "log");
    rlimit limit = {};
    getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 10;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!file.append("one\n")) _exit(1);
    if (file.append("two, too long\n") || file.error().find("/log: ") == std::string::npos)
      _exit(2);
    if (read_file(dir / "log") != "one\n") _exit(3);  // nothing of it
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!file.append("three\n")) _exit(4);
    _exit(read_file(dir / "log") == "one\ntwo, too long\nthree\n" ? 0 : 5);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace edm2
