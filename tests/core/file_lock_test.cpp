#include "edm2/core/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {
namespace {

/// Whether another process gets the lock.
bool another_process_gets(const std::filesystem::path& path) {
  const pid_t child = fork();
  if (child == 0) _exit(FileLock::try_acquire(path) ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  return WEXITSTATUS(status) == 0;
}

}  // namespace

TEST(FileLock, KeepsOthersOut) {
  test::TempDir dir;
  auto lock = FileLock::try_acquire(dir / "lock");
  ASSERT_TRUE(lock);
  EXPECT_TRUE(lock->is_effective());
  EXPECT_FALSE(FileLock::try_acquire(dir / "lock"));
  EXPECT_FALSE(another_process_gets(dir / "lock"));
  lock.reset();
  EXPECT_FALSE(std::filesystem::exists(dir / "lock"));
  EXPECT_TRUE(another_process_gets(dir / "lock"));
}

TEST(FileLock, EndsWithItsProcess) {
  test::TempDir dir;
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = FileLock::try_acquire(dir / "lock");
    _exit(lock ? 0 : 1);  // without destructors, as if killed
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(std::filesystem::exists(dir / "lock"));
  EXPECT_TRUE(FileLock::try_acquire(dir / "lock"));
}

TEST(FileLock, NeedsAFolder) {
  test::TempDir dir;
  EXPECT_THROW(FileLock::try_acquire(dir / "none" / "lock"), Error);
}

}  // namespace edm2
