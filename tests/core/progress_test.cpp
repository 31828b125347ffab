#include "edm2/core/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

namespace edm2 {
namespace {

struct Output {
  std::string out, err;
};

Output run(ProgressStyle style, const std::function<void(Progress&)>& work) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  work(*make_progress(style));
  return {testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

void three_images(Progress& progress) {
  progress.message("Hello");
  progress.start("Drawing", 3, "image");
  for (int i = 0; i < 3; ++i) progress.advance();
  progress.finish();
}

}  // namespace

TEST(Progress, Lines) {
  const Output output = run(ProgressStyle::lines, three_images);
  EXPECT_EQ(output.out, "Hello\n");
  EXPECT_THAT(output.err, testing::StartsWith("Drawing: 3 images in 0:00"));
  EXPECT_EQ(std::count(output.err.begin(), output.err.end(), '\n'), 1);
}

TEST(Progress, BytesAreShownInLargerUnits) {
  const auto work = [](Progress& progress) {
    progress.start("Downloading", 2'500'000, "byte");
    progress.advance(1'500'000);
    progress.start("Downloading", 0, "byte");
    progress.finish();
  };
  EXPECT_THAT(run(ProgressStyle::bar, work).err, testing::HasSubstr("0 bytes of 2.5 MB"));
  EXPECT_THAT(run(ProgressStyle::lines, work).err,
              testing::ContainsRegex("^Downloading: 1\\.5 MB in 0:00 \\([0-9.]+ [kMGT]?B/s\\)\n"));
  EXPECT_THAT(run(ProgressStyle::json, work).out, testing::HasSubstr("\"total\":2500000"));
}

TEST(FormatBytes, PowersOfAThousand) {
  EXPECT_EQ(format_bytes(0), "0 bytes");
  EXPECT_EQ(format_bytes(1), "1 byte");
  EXPECT_EQ(format_bytes(999), "999 bytes");
  EXPECT_EQ(format_bytes(1000), "1.0 kB");
  EXPECT_EQ(format_bytes(999'949), "999.9 kB");
  EXPECT_EQ(format_bytes(999'950), "1.0 MB");
  EXPECT_EQ(format_bytes(3'456'000'000), "3.5 GB");
  EXPECT_EQ(format_bytes(18'000'000'000'000'000'000u), "18000000.0 TB");
}

TEST(Progress, AutomaticIsLinesWithoutATerminal) {
  const Output output = run(ProgressStyle::automatic, three_images);
  EXPECT_EQ(output.err.find('\r'), std::string::npos);
}

TEST(Progress, BarKeepsMessagesOnTheirOwnLine) {
  const Output output = run(ProgressStyle::bar, [](Progress& progress) {
    progress.start("Drawing", 4, "image");
    progress.message("Hello");
    progress.advance(4);
    progress.finish();
  });
  EXPECT_EQ(output.out, "Hello\n");
  EXPECT_THAT(output.err, testing::HasSubstr("0/4 images"));
  EXPECT_THAT(output.err, testing::ContainsRegex("Drawing: 4 images in 0:00.*\n$"));
}

TEST(Progress, TextsFromFilesDoNotSteerTheTerminal) {
  for (const ProgressStyle style : {ProgressStyle::lines, ProgressStyle::bar}) {
    const Output output = run(style, [](Progress& progress) {
      progress.message("Left out \x1b[2Ja.png");
      progress.start("Reading \x1b]0;title\x07", 1, "image");
      progress.finish();
    });
    EXPECT_EQ(output.out, "Left out \\x1b[2Ja.png\n");
    EXPECT_THAT(output.err, testing::HasSubstr("Reading \\x1b]0;title\\x07"));
    EXPECT_THAT(output.err, testing::Not(testing::HasSubstr("\x1b]")));
  }
}

TEST(Progress, BarThatAnErrorEndsLeavesTheLine) {
  const Output output =
      run(ProgressStyle::bar, [](Progress& progress) { progress.start("Drawing", 4, "image"); });
  EXPECT_THAT(output.err, testing::EndsWith("0/4 images\033[K\n"));
}

TEST(Progress, Quiet) {
  const Output output = run(ProgressStyle::quiet, three_images);
  EXPECT_EQ(output.out + output.err, "");
}

TEST(Progress, NotesStandBehindTheFigures) {
  const auto work = [](Progress& progress) {
    progress.start("Training", 8, "image");
    progress.note("loss 0.5");
    progress.message("Hello");  // the bar is shown anew behind it
    progress.finish();
  };
  EXPECT_THAT(run(ProgressStyle::bar, work).err, testing::HasSubstr("0/8 images, loss 0.5\033[K"));
  EXPECT_THAT(run(ProgressStyle::lines, work).err, testing::StartsWith("Training: 0 images in"));
}

TEST(Progress, WhatWasDoneBeforeIsDoneButNotFast) {
  const Output output = run(ProgressStyle::bar, [](Progress& progress) {
    progress.start("Training", 8, "image");
    progress.already_done(4);
    progress.message("Hello");
    progress.advance(1);
    progress.finish();
  });
  EXPECT_THAT(output.err, testing::HasSubstr("] 4/8 images\033[K")) << "no speed yet";
  EXPECT_THAT(output.err, testing::HasSubstr("Training: 1 image in 0:00"));
}

TEST(Progress, JsonLinesParse) {
  const Output output = run(ProgressStyle::json, [](Progress& progress) {
    progress.message("caf\xe9 \"x\"");  // not UTF-8
    progress.start("Drawing", 2, "image");
    progress.advance(2);
    progress.finish();
  });
  EXPECT_EQ(output.err, "");
  std::istringstream lines(output.out);
  std::vector<std::string> events;
  for (std::string line; std::getline(lines, line);)
    events.push_back(nlohmann::json::parse(line).at("event"));
  EXPECT_THAT(events, testing::ElementsAre("message", "start", "finish"));
}

TEST(Progress, CountsFromSeveralThreads) {
  const Output output = run(ProgressStyle::lines, [](Progress& progress) {
    progress.start("Counting", 0, "batch");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) progress.advance();
      });
    for (auto& thread : threads) thread.join();
    progress.finish();
  });
  EXPECT_THAT(output.err, testing::StartsWith("Counting: 4000 batches in"));
}

}  // namespace edm2
