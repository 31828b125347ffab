// Manuals and completions, as shells use them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "edm2/io/atomic_file.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {

using test::expect_error;
using test::run_edm2;
using test::RunResult;
using testing::HasSubstr;
using testing::Not;

std::string completion(const std::string& shell) {
  const RunResult run = run_edm2({"completion", shell});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return run.out;
}

bool has_shell(const std::string& shell) {
  return std::system(("command -v " + shell + " > /dev/null").c_str()) == 0;
}

/// What bash offers when Tab is pressed behind these words (the last one may be empty).
std::string complete_in_bash(const std::vector<std::string>& words) {
  const test::TempDir dir;
  std::ofstream(dir / "script")
      << completion("bash") << "COMP_WORDS=(" <<
      [&] {
        std::string list;
        for (const std::string& word : words) list += "'" + word + "' ";
        return list;
      }()
      << ")\nCOMP_CWORD=" << words.size() - 1
      << "\ncd \"$1\"\n_edm2\nprintf '%s ' \"${COMPREPLY[@]}\" > answer\n";
  std::ofstream(dir / "network.pkl") << "x";
  const std::string command =
      "bash '" + (dir / "script").string() + "' '" + dir.path().string() + "'";
  EXPECT_EQ(std::system(command.c_str()), 0);
  return read_text_file(dir / "answer");
}

}  // namespace

TEST(ManualCli, ManPageHasEveryCommandAndOption) {
  const RunResult run = run_edm2({"manual"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, testing::StartsWith(".TH EDM2 1"));
  for (const char* part : {".SS edm2 dataset convert\n", ".SS edm2 generate\n",
                           ".B \\-\\-steps INT\n", "Sampling steps [default: 32; x>=1]"})
    EXPECT_THAT(run.out, HasSubstr(part));
  if (!has_shell("groff")) GTEST_SKIP() << "no groff to format the page";
  const test::TempDir dir;
  std::ofstream(dir / "edm2.1") << run.out;
  const std::string format = "groff -man -Tutf8 -ww -z '" + (dir / "edm2.1").string() + "' > '" +
                             (dir / "complaints").string() + "' 2>&1";
  EXPECT_EQ(std::system(format.c_str()), 0);
  EXPECT_EQ(read_text_file(dir / "complaints"), "");
}

TEST(ManualCli, MarkdownIsATableForEachCommand) {
  const RunResult run = run_edm2({"manual", "--format=markdown"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("\n## edm2 generate\n"));
  EXPECT_THAT(run.out, HasSubstr("| `--steps INT` | Sampling steps [default: 32; x>=1] |\n"));
  EXPECT_THAT(run.out, HasSubstr("| `--transform [center-crop\\|center-crop-wide"));
  expect_error(run_edm2({"manual", "--format=html"}), 2, "'html' is not one of man, markdown.");
}

TEST(ManualCli, PageOfAllOptionsIsCurrent) {
  const RunResult run = run_edm2({"manual", "--format=markdown"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(run.out == read_text_file(test::source_dir() / "docs" / "options.md"))
      << "docs/options.md is not what the program prints; write it anew:\n"
         "./edm2 manual --format=markdown > docs/options.md";
}

TEST(CompletionCli, BashOffersWhatFits) {
  EXPECT_THAT(complete_in_bash({"edm2", "gen"}), "generate ");
  EXPECT_THAT(complete_in_bash({"edm2", "dataset", ""}), HasSubstr("convert "));
  EXPECT_THAT(complete_in_bash({"edm2", "dataset", ""}), Not(HasSubstr("generate")));
  EXPECT_THAT(complete_in_bash({"edm2", "generate", "--sol"}), "--solver ");
  EXPECT_THAT(complete_in_bash({"edm2", "generate", "--steps=4", "--S_c"}), "--S_churn ");
  EXPECT_THAT(complete_in_bash({"edm2", "dataset", "convert", "--transform", "center-crop-d"}),
              "center-crop-dhariwal ");
  EXPECT_THAT(complete_in_bash({"edm2", "dataset", "convert", "--transform", "=", "center-crop-w"}),
              "center-crop-wide ");
  EXPECT_THAT(complete_in_bash({"edm2", "generate", "--net", "netw"}), "network.pkl ");
  EXPECT_THAT(complete_in_bash({"edm2", "info", "netw"}), "network.pkl ");
  EXPECT_THAT(complete_in_bash({"edm2", "generate", "--steps", ""}), " ") << "any number";
}

TEST(CompletionCli, OtherShellsReadTheirScripts) {
  EXPECT_THAT(completion("zsh"), testing::StartsWith("#compdef edm2\n"));
  EXPECT_THAT(completion("zsh"), HasSubstr("'--transform=["));
  EXPECT_THAT(completion("fish"), HasSubstr("-l transform -x -a 'center-crop center-crop-wide"));
  expect_error(run_edm2({"completion", "csh"}), 2, "'csh' is not one of bash, zsh, fish.");
  expect_error(run_edm2({"completion"}), 2, "Missing argument 'SHELL'.");
  int checked = 0;
  for (const std::string shell : {"zsh", "fish"})
    if (has_shell(shell)) {
      const test::TempDir dir;
      std::ofstream(dir / "script") << completion(shell);
      EXPECT_EQ(std::system((shell + " -n '" + (dir / "script").string() + "'").c_str()), 0)
          << shell;
      ++checked;
    }
  if (checked == 0)
    GTEST_SKIP() << "neither zsh nor fish is installed, so their syntax was not checked";
}

}  // namespace edm2
