// Options and errors as every command has them, tried on a small command.
#include "cli/command.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <initializer_list>

#include "cli/program.h"

namespace edm2::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct Options {
  std::string outdir;
  std::optional<std::filesystem::path> net;
  std::vector<int64_t> seeds = {16};
  std::optional<int64_t> label;
  int64_t steps = 32;
  double guidance = 1;
  std::optional<bool> cond;
  int64_t batch = 0;
  bool dry_run = false;
};

struct Outcome {
  int code = -1;
  bool ran = false;
  Options options;
  std::string out, err;
};

void add_draw_command(CLI::App& app, CommandContext& context, Outcome& outcome,
                      const std::function<void()>& action) {
  Options& options = outcome.options;
  CLI::App& group = *app.add_subcommand("group", "Holds commands");
  CLI::App& command = *group.add_subcommand("draw", "Draws");
  add_text_option(command, "--outdir", options.outdir, "DIR", "Where to")->required();
  add_text_option(command, "--net", options.net, "FILE", "Network");
  add_parsed_option(command, "--seeds", options.seeds, parse_int_list, "LIST", "Seeds", "16");
  add_int_option(command, "--class", options.label, at_least(int64_t{0}), "Class");
  add_int_option(command, "--S_steps", options.steps, at_least(int64_t{1}), "Steps");
  add_float_option(command, "--guidance", options.guidance, {}, "Strength");
  add_bool_option(command, "--cond", options.cond, "Conditional");
  add_nimg_option(command, "--batch", options.batch, {}, "Batch", "preset");
  add_switch(command, "-n,--dry-run", options.dry_run, "Only look");
  add_progress_options(command, context);
  add_device_options(command, context);
  command.callback([&outcome, action] {
    outcome.ran = true;
    if (action) action();
  });
}

Outcome run(std::initializer_list<const char*> words, const std::function<void()>& action = {}) {
  std::vector<const char*> argv = {"edm2"};
  argv.insert(argv.end(), words.begin(), words.end());
  Outcome outcome;
  CommandContext context;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  outcome.code = run_program(static_cast<int>(argv.size()), argv.data(), context,
                             [&](CLI::App& app, CommandContext& shared) {
                               add_draw_command(app, shared, outcome, action);
                             });
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

// The message of a wrong command line; empty if it was taken.
std::string usage_error(std::initializer_list<const char*> words) {
  const Outcome outcome = run(words);
  if (outcome.code == 0) return "";
  EXPECT_EQ(outcome.code, 2);
  EXPECT_FALSE(outcome.ran);
  EXPECT_THAT(outcome.out, IsEmpty());
  EXPECT_THAT(outcome.err, HasSubstr("Usage: edm2"));
  const size_t message = outcome.err.find("Error: ");
  return message == std::string::npos ? outcome.err : outcome.err.substr(message + 7);
}

}  // namespace

TEST(Command, FillsItsOptions) {
  const Outcome outcome =
      run({"group", "draw", "--outdir", "out", "--net=a=b", "--seeds=-5,1-2", "--class", "3",
           "--S_steps=1_0", "--guidance", "-1.5", "--cond=off", "--batch=2Ki", "-n"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.ran);
  EXPECT_EQ(outcome.options.outdir, "out");
  EXPECT_EQ(outcome.options.net, "a=b");
  EXPECT_THAT(outcome.options.seeds, testing::ElementsAre(-5, 1, 2));
  EXPECT_EQ(outcome.options.label, 3);
  EXPECT_EQ(outcome.options.steps, 10);
  EXPECT_EQ(outcome.options.guidance, -1.5);
  EXPECT_EQ(outcome.options.cond, false);
  EXPECT_EQ(outcome.options.batch, 2048);
  EXPECT_TRUE(outcome.options.dry_run);
}

TEST(Command, LastOccurrenceWins) {
  const Outcome outcome =
      run({"group", "draw", "--outdir=a", "--outdir=b", "--seeds=1", "--seeds=2,3", "-n", "-n"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.options.outdir, "b");
  EXPECT_THAT(outcome.options.seeds, testing::ElementsAre(2, 3));
}

TEST(Command, EmptyValueIsEmptyText) {
  const Outcome outcome = run({"group", "draw", "--outdir=", "--class=1"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.options.outdir, "");
  EXPECT_EQ(outcome.options.label, 1);
}

TEST(Command, UsageErrors) {
  EXPECT_EQ(usage_error({"group", "draw"}), "Missing option '--outdir'.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--outdir"}),
            "Option '--outdir' requires an argument.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--out=x"}), "No such option '--out'.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--Outdir=x"}), "No such option '--Outdir'.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--outdir=x", "-z"}), "No such option '-z'.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--outdir=x", "y"}),
            "Got unexpected extra argument (y).\n");
  EXPECT_EQ(usage_error({"group", "paint"}), "No such command 'paint'.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--outdir=x", "--seeds=a"}),
            "Invalid value for '--seeds': 'a' is not a valid integer, nor a range such as 5-10.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--outdir=x", "--S_steps=0"}),
            "Invalid value for '--S_steps': 0 is not in the range x>=1.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--outdir=x", "--cond", "maybe"}),
            "Invalid value for '--cond': 'maybe' is not a valid boolean.\n");
  EXPECT_EQ(usage_error({"group", "draw", "--outdir=x", "--precision=fp8"}),
            "Invalid value for '--precision': 'fp8' is not one of 'auto', 'fp32', 'bf16', "
            "'fp16'.\n");
  EXPECT_THAT(usage_error({"group", "draw", "--outdir=x", "--quiet", "--log-json"}),
              HasSubstr("excludes"));
  EXPECT_THAT(usage_error({"group", "draw", "--outdir=x", "--dry-run=false"}),
              HasSubstr("dry-run"));
  EXPECT_THAT(usage_error({"group"}), HasSubstr("Usage: edm2 group"));
}

TEST(Command, HelpTellsDefaultsAndRanges) {
  const Outcome outcome = run({"group", "draw", "--help"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_FALSE(outcome.ran);
  EXPECT_THAT(outcome.out, HasSubstr("Usage: edm2 group draw [OPTIONS]"));
  EXPECT_THAT(outcome.out, HasSubstr("Where to [required]\n"));
  EXPECT_THAT(outcome.out, HasSubstr("Class [x>=0]\n"));
  EXPECT_THAT(outcome.out, HasSubstr("Steps [default: 32; x>=1]\n"));
  EXPECT_THAT(outcome.out, HasSubstr("Strength [default: 1]\n"));
  EXPECT_THAT(outcome.out, HasSubstr("Batch [default: preset]\n"));
}

TEST(Command, ErrorsBecomeOneSentenceAndACode) {
  const auto draw = [](const std::function<void()>& action) {
    return run({"group", "draw", "--outdir=x"}, action);
  };
  Outcome outcome = draw([] { throw Error("cannot read a.pkl: it is empty"); });
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "Error: cannot read a.pkl: it is empty\n");
  outcome = draw([] { throw UsageError("Please do not"); });
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("Usage: edm2 group draw"));
  EXPECT_THAT(outcome.err, testing::EndsWith("Error: Please do not\n"));
  EXPECT_EQ(draw([] { throw Interrupted(15); }).code, 143);
  outcome = draw([] { TORCH_CHECK(false, "sizes differ"); });
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "Error: sizes differ\n");
  EXPECT_EQ(draw([] { throw std::bad_alloc(); }).err, "Error: out of memory\n");
  EXPECT_EQ(draw([] { throw std::runtime_error("odd"); }).err, "Error: odd\n");
}

TEST(Command, DeviceErrorsNameTheOption) {
  try {
    select_device("gpu");
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Invalid value for '--device': 'gpu'"));
  }
}

}  // namespace edm2::cli
