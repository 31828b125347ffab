#include "edm2/core/platform.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {

TEST(Platform, ResidentMemoryGrowsWithUse) {
  const uint64_t before = resident_memory();
  EXPECT_GT(before, 1u << 20);
  std::vector<char> block(64 << 20);
  std::memset(block.data(), 1, block.size());
  EXPECT_GE(resident_memory(), before + (60u << 20));
}

TEST(Platform, ResidentMemoryCountsChildren) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const uint64_t before = resident_memory();
  const pid_t child = fork();
  if (child == 0) {
    // Only what is safe between fork and exit.
    static char block[64 << 20];
    std::memset(block, 1, sizeof block);
    (void)!write(ready[1], "x", 1);
    pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const uint64_t with_child = resident_memory();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_GE(with_child, before + (60u << 20));
}

TEST(Platform, MappedFileShowsTheBytes) {
  test::TempDir dir;
  std::ofstream(dir / "a") << "hello";
  const MappedFile file(dir / "a");
  ASSERT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(std::memcmp(file.bytes().data(), "hello", 5), 0);
  std::ofstream(dir / "empty");
  EXPECT_TRUE(MappedFile(dir / "empty").bytes().empty());
}

TEST(Platform, RandomAccessFileReadsAnyPart) {
  const test::TempDir dir;
  std::ofstream(dir / "a") << "0123456789";
  const RandomAccessFile file(dir / "a");
  const auto read = [&](uint64_t offset, size_t count) {
    std::string text(count, '?');
    file.read_at(offset, std::as_writable_bytes(std::span(text.data(), count)));
    return text;
  };
  EXPECT_EQ(read(0, 10), "0123456789");
  EXPECT_EQ(read(7, 2), "78");
  EXPECT_EQ(read(10, 0), "");
  EXPECT_THROW(read(7, 4), Error);
  EXPECT_THROW(RandomAccessFile(dir / "missing"), Error);
  EXPECT_THROW(RandomAccessFile{dir.path()}, Error);
}

TEST(Platform, MappedFileRefusesWhatIsNoFile) {
  test::TempDir dir;
  try {
    MappedFile{dir.path()};
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "cannot read " + dir.path().string() + ": it is a folder, and a file is needed");
  }
  EXPECT_THROW(MappedFile(dir / "missing"), Error);
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(MappedFile(dir / "pipe"), Error);  // and does not wait for a writer
}

TEST(Platform, FirstSignalIsSeenSecondEnds) {
  const pid_t child = fork();
  if (child == 0) {
    install_interrupt_handlers();
    if (pending_signal() != 0) _exit(10);
    raise(SIGTERM);
    if (pending_signal() != SIGTERM) _exit(11);
    try {
      check_interrupt();
      _exit(12);
    } catch (const Interrupted& interrupted) {
      if (interrupted.signal != SIGTERM) _exit(13);
    }
    raise(SIGTERM);  // the same request again, by way of a launcher
    raise(SIGUSR1);
    if (pending_signal() != SIGTERM) _exit(14);
    raise(SIGINT);
    _exit(15);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "exit code " << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

TEST(Platform, SignalsAreAnsweredAtOnceWhereThatIsWanted) {
  const InterruptScope scope({SIGUSR1});
  testing::internal::CaptureStderr();
  {
    const InterruptNotice notice("It ends soon");
    raise(SIGUSR1);
    raise(SIGUSR1);
  }
  EXPECT_EQ(pending_signal(), SIGUSR1);
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_EQ(told.substr(told.find("It")), "It ends soon\n") << "once";
}

TEST(Platform, SignalsAreNotAnsweredElsewhere) {
  const InterruptScope scope({SIGUSR1});
  testing::internal::CaptureStderr();
  { const InterruptNotice notice("It ends soon"); }
  raise(SIGUSR1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Platform, TimeOfProcessors) {
  const double own = own_processor_seconds(), all = machine_processor_seconds();
  volatile double sum = 0;
  while (own_processor_seconds() < own + 0.2) sum = sum + 1;
  if (all == 0) GTEST_SKIP() << "this system does not tell";
  EXPECT_GE(machine_processor_seconds(), all + 0.1) << "in steps of some hundredths";
}

TEST(Platform, MemoryOfThisProcessAlone) {
  const OwnMemory before = own_memory();
  if (before.resident == 0) GTEST_SKIP() << "this system does not tell";
  reset_own_peak_memory();
  constexpr uint64_t bytes = uint64_t{64} << 20, slack = uint64_t{8} << 20;
  {
    const std::vector<char> block(bytes, 1);
    EXPECT_EQ(block[bytes / 2], 1);
    EXPECT_GE(own_memory().resident + slack, before.resident + bytes);
  }
  EXPECT_GE(own_memory().peak + slack, before.resident + bytes);
  EXPECT_GE(own_memory().peak, own_memory().resident);
  EXPECT_GT(available_memory(), 0u);
}

TEST(Platform, PageMemoryGivesBackWhatIsWhole) {
  constexpr size_t size = 64 << 20;
  for (const auto pages : {PageMemory::Pages::usual, PageMemory::Pages::huge}) {
    PageMemory memory(size, pages);
    std::memset(memory.data(), 1, size);
    const uint64_t full = own_memory().resident;
    memory.give_back(100, size - 200);
    EXPECT_LE(own_memory().resident + (60u << 20), full);
    // What lies on pages that were not given back wholly is still there.
    EXPECT_EQ(memory.data()[0], std::byte{1});
    EXPECT_EQ(memory.data()[size - 1], std::byte{1});
    memory.give_back(0, 1);
    EXPECT_EQ(memory.data()[0], std::byte{1});
  }
  EXPECT_EQ(PageMemory(0).data(), nullptr);
  EXPECT_THROW(PageMemory(size_t{1} << 60), Error);
}

}  // namespace edm2
