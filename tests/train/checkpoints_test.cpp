// The files of a run folder, whatever has happened to them.
#include "train/checkpoints.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/digest.h"
#include "edm2/io/torch_file.h"
#include "support/checks.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "train/stats_file.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::read_file;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string name_of(int kimg) { return "training-state-000000" + std::to_string(kimg) + ".pt"; }

PickleValue some_state(int value) {
  return PickleValue::dict({{"w", at::full({100}, value, at::kFloat)}});
}

void publish_state(RunFolder& folder, int kimg) {
  folder.publish(name_of(kimg),
                 [&](const fs::path& path) { save_torch_file(path, some_state(kimg)); });
}

class Checkpoints : public testing::Test {
 protected:
  void SetUp() override {
    folder.open();
    for (const int kimg : {1, 2, 3}) publish_state(folder, kimg);
  }
  fs::path state(int kimg) const { return folder.path() / name_of(kimg); }
  /// 1000 times the value in the state chosen; 0: none.
  int chosen() {
    said.clear();
    const auto found =
        newest_whole_state(folder, [&](const std::string& text) { said.push_back(text); });
    return found ? static_cast<int>(found->root.at("w").as_tensor()[0].item<float>()) : 0;
  }

  test::TempDir dir;
  RunFolder folder{dir / "run"};
  std::vector<std::string> said;
};

}  // namespace

TEST_F(Checkpoints, TheNewestThatIsWholeIsTaken) {
  EXPECT_EQ(chosen(), 3);
  EXPECT_THAT(said, IsEmpty());
  const std::string third = read_file(state(3)), second = read_file(state(2));

  write(state(3), third.substr(0, third.size() / 2));
  EXPECT_EQ(chosen(), 2);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0], "Skipping " + state(3).string() + ", which is damaged: it has " +
                         std::to_string(third.size() / 2) + " bytes instead of " +
                         std::to_string(third.size()));
  write(state(3), "");
  EXPECT_EQ(chosen(), 2);
  std::string flipped = third;
  flipped[third.size() / 2] ^= 4;
  write(state(3), flipped);
  EXPECT_EQ(chosen(), 2);
  EXPECT_THAT(said, ElementsAre(HasSubstr("its SHA-256 is not the one")));

  fs::remove(state(2));
  fs::create_directory(state(2));  // not a file: not a state
  EXPECT_EQ(chosen(), 1);
  EXPECT_EQ(said.size(), 1u);

  write(state(1), "");
  try {
    chosen();
    FAIL() << "a new run would overwrite what is there";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("is whole (2 damaged); move them away"));
  }
  fs::remove(state(3));
  fs::remove(state(1));
  EXPECT_EQ(chosen(), 0);
}

TEST_F(Checkpoints, WhatIsNotListedMustBeReadable) {
  const std::string third = read_file(state(3));
  fs::remove(folder.path() / RunFolder::manifest_name);
  folder.open();
  EXPECT_EQ(chosen(), 3);
  EXPECT_THAT(said, IsEmpty());
  for (const size_t length : {size_t{0}, third.size() / 3, third.size() - 1}) {
    write(state(3), third.substr(0, length));
    EXPECT_EQ(chosen(), 2) << length;
    EXPECT_EQ(said.size(), 1u);
  }
  // Every byte of the weights is covered by the zip's own checksums.
  std::string flipped = third;
  flipped[third.find(std::string(reinterpret_cast<const char*>("\0\0\x40\x40"), 4)) + 50] ^= 1;
  write(state(3), flipped);
  EXPECT_EQ(chosen(), 2);
}

TEST_F(Checkpoints, OldOnesGoWhenANewerIsGood) {
  publish_state(folder, 4);
  write(state(5), "damaged, and passed over");
  check_state(folder, name_of(4));
  remove_old_states(folder, name_of(4), 2);
  EXPECT_THAT(test::names_in(folder.path()), ElementsAre(".lock", ".saving", "checksums.sha256",
                                                         name_of(3), name_of(4), name_of(5)));
  EXPECT_THAT(read_file(folder.path() / RunFolder::manifest_name),
              testing::Not(HasSubstr(name_of(2))));
  remove_old_states(folder, name_of(4), 1);
  EXPECT_FALSE(fs::exists(state(3)));
  EXPECT_TRUE(fs::exists(state(4)));

  std::string damaged = read_file(state(4));
  damaged[damaged.size() / 2] ^= 1;
  write(state(4), damaged);
  EXPECT_THROW(check_state(folder, name_of(4)), Error);
}

TEST(RunFolder, ListsWhatItPublishes) {
  const test::TempDir dir;
  RunFolder folder(dir / "a" / "run");
  folder.open();
  const auto text = [](const std::string& content) {
    return [content](const fs::path& path) { write_file(path, content); };
  };
  folder.publish("one.txt", text("eins"));
  folder.publish("two.txt", text("zwei"));
  folder.publish("one.txt", text("uno"));  // replaced
  EXPECT_EQ(read_file(folder.path() / "one.txt"), "uno");
  EXPECT_EQ(folder.damage("one.txt"), std::nullopt);
  EXPECT_EQ(folder.damage("never heard of"), std::nullopt);
  const auto check = test::run_command({"sha256sum", "--strict", "-c", "checksums.sha256"},
                                       {.folder = folder.path()});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  EXPECT_EQ(check.out, "one.txt: OK\ntwo.txt: OK\n");

  // A failure leaves everything as it was.
  const std::string before = read_file(folder.path() / RunFolder::manifest_name);
  EXPECT_THROW(folder.publish("one.txt",
                              [](const fs::path& path) {
                                write(path, "half");
                                throw Error("disk full");
                              }),
               Error);
  EXPECT_EQ(read_file(folder.path() / "one.txt"), "uno");
  EXPECT_EQ(read_file(folder.path() / RunFolder::manifest_name), before);
  folder.close();
  EXPECT_THAT(test::names_in(folder.path()), ElementsAre("checksums.sha256", "one.txt", "two.txt"));
}

TEST(RunFolder, AKillWhileAFileIsReplacedLeavesOneThatIsListed) {
  const test::TempDir dir;
  {
    RunFolder folder(dir / "run");
    folder.open();
    folder.publish("x", [](const fs::path& path) { write_file(path, "old"); });
  }
  // As publish() leaves it between its steps: both listed, one of them there.
  const std::string list = read_file(dir / "run" / "checksums.sha256");
  write(dir / "run" / "checksums.sha256",
        list + "# size 5\n" + sha256_hex(std::as_bytes(std::span("newer", 5))) + "  x\n");
  for (const char* content : {"old", "newer"}) {
    write(dir / "run" / "x", content);
    RunFolder folder(dir / "run");
    folder.open();
    EXPECT_EQ(folder.damage("x"), std::nullopt) << content;
  }
  write(dir / "run" / "x", "other");
  RunFolder folder(dir / "run");
  folder.open();
  EXPECT_NE(folder.damage("x"), std::nullopt);
}

TEST(RunFolder, RemovesWhatAKillHasLeft) {
  const test::TempDir dir;
  fs::create_directories(dir / "run" / ".saving");
  write(dir / "run" / ".saving" / "training-state-0000001.pt", "half");
  write(dir / "run" / ".checksums.sha256.123-0123456789abcdef.tmp", "half");
  write(dir / "run" / ".notes.txt", "the user's");
  RunFolder folder(dir / "run");
  folder.open();
  EXPECT_THAT(test::names_in(dir / "run"), ElementsAre(".lock", ".notes.txt"));
}

TEST(RunFolder, OneRunAtATime) {
  const test::TempDir dir;
  auto first = std::make_unique<RunFolder>(dir / "run");
  first->open();
  RunFolder second(dir / "run");
  try {
    second.open(std::chrono::seconds(0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("another run is at work in '"));
  }
  first.reset();
  second.open();
}

TEST(Manifest, ReadsWhatItWritesAndForgivesTheRest) {
  const std::string a(64, 'a'), b(64, 'b');
  Manifest manifest;
  manifest.add("x.pt", {7, a});
  manifest.add("x.pt", {8, b});
  manifest.add("with blank", {0, b});
  const Manifest again = Manifest::parse(manifest.text());
  EXPECT_EQ(again.text(), manifest.text());
  EXPECT_EQ(again.digests("x.pt").size(), 2u);
  EXPECT_EQ(again.digests("x.pt")[1], (FileDigest{8, b}));
  const Manifest other = Manifest::parse("# size 9\nnonsense\n" + a + "  plain\n" + b +
                                         " *binary\n" + a + "\n\n# size x\n" + a + "  y");
  EXPECT_THAT(other.names(), ElementsAre("binary", "plain", "y"));
  EXPECT_EQ(other.digests("plain")[0].size, std::nullopt);
}

TEST(StatsFile, LinesThatAreWrittenAgainGo) {
  const test::TempDir dir;
  const fs::path file = dir / "stats.jsonl";
  const auto line = [](const std::string& kimg) {
    return R"({"Progress/kimg": )" + kimg + R"(, "Loss/loss": NaN, "timestamp": 1.5})" + "\n";
  };
  const std::string kept = line("0.000") + line("1.024") + line("2147483.750");
  const auto rewound = [&](const std::string& text, int64_t nimg) {
    write(file, text);
    const int64_t dropped = rewind_stats(file, nimg);
    return std::pair(dropped, read_file(file));
  };
  EXPECT_EQ(rewound(kept, 2147483648), std::pair(int64_t{0}, kept));
  EXPECT_EQ(rewound(kept, 2000).second, line("0.000") + line("1.024"));
  EXPECT_EQ(rewound(kept, 1024), std::pair(int64_t{1}, line("0.000") + line("1.024")));
  EXPECT_EQ(rewound(kept, 1023).second, line("0.000"));
  EXPECT_EQ(rewound(kept, 0), std::pair(int64_t{3}, std::string()));
  // Torn by a kill, or zeros after a power failure.
  const std::string last = line("3.000");
  EXPECT_EQ(rewound(line("1.000") + last.substr(0, 30), 4000),
            std::pair(int64_t{1}, line("1.000")));
  EXPECT_EQ(rewound(line("1.000") + std::string(40, '\0'), 4000).second, line("1.000"));
  EXPECT_EQ(rewound(line("1.000") + last.substr(0, last.size() - 1), 4000).second,
            line("1.000") + last);
  EXPECT_EQ(rewind_stats(dir / "missing", 5), 0);
}

}  // namespace edm2
