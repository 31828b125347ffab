// edm2 presets as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {

using test::run_edm2;
using test::RunResult;
using testing::ContainsRegex;
using testing::HasSubstr;

TEST(PresetsCli, Table) {
  const RunResult run = run_edm2({"presets"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, ContainsRegex("\ndemo +1\\.2M +0\\.3M +1\\.7 +- +bundled:demo-emoji32"));
  EXPECT_THAT(run.out, ContainsRegex("\nedm2-img512-xs-dino +XS 125M +- +1 +FD-DINOv2 103\\.39 +"
                                     "edm2-img512-xs-2147483-0\\.200\\.pkl\n"));
  EXPECT_THAT(run.out, ContainsRegex(
                           "\nedm2-img512-s-guid-fid +S 280M +XS 124M uncond +1\\.4 +FID 2\\.23 "));
  EXPECT_THAT(run.out, HasSubstr("https://nvlabs-fi-cdn.nvidia.com/edm2/"));
}

TEST(PresetsCli, Json) {
  const RunResult run = run_edm2({"presets", "--json"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  const auto list = nlohmann::json::parse(run.out);
  EXPECT_EQ(list.size(), 37u);
  const auto& demo = list.at(0);
  EXPECT_EQ(demo.at("name"), "demo");
  EXPECT_EQ(demo.at("net").at("classes"), 9);
  const auto entry = std::find_if(list.begin(), list.end(), [](const auto& preset) {
    return preset.at("name") == "edm2-img64-s-autog-fid";
  });
  ASSERT_NE(entry, list.end());
  EXPECT_EQ(entry->at("net").at("size"), "S");
  EXPECT_EQ(entry->at("net").at("parameters"), 280209381);
  EXPECT_EQ(entry->at("gnet").at("size"), "XS");
  EXPECT_EQ(entry->at("guidance"), 1.7);
  EXPECT_EQ(entry->at("score"), (nlohmann::json{{"metric", "fid"}, {"value", 1.01}}));
}

TEST(PresetsCli, FillOnlyWhatIsNotGiven) {
  const test::TempDir dir;
  const auto models = test::source_dir() / "models";
  std::filesystem::copy_file(models / "demo-emoji32-guide.pkl", dir / "own.pkl");
  const std::string own = dir / "own.pkl", out = dir / "out";
  const auto generate = [&](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"generate", "--preset=demo", "--steps=2", "--seeds=1", "--outdir", out});
    const RunResult run = run_edm2(words);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.out;
  };
  const std::string main_text = "Loading main network from ",
                    guide_text = "Loading guiding network from ";
  std::string said = generate({});
  EXPECT_THAT(said, HasSubstr(main_text + "bundled:demo-emoji32.pkl ..."));
  EXPECT_THAT(said, HasSubstr(guide_text + "bundled:demo-emoji32-guide.pkl ..."));
  said = generate({"--net", own});
  EXPECT_THAT(said, HasSubstr(main_text + own));
  EXPECT_THAT(said, HasSubstr(guide_text + "bundled:demo-emoji32-guide.pkl ..."));
  said = generate({"--gnet", own});
  EXPECT_THAT(said, HasSubstr(main_text + "bundled:demo-emoji32.pkl ..."));
  EXPECT_THAT(said, HasSubstr(guide_text + own));
  said = generate({"--guidance=1"});
  EXPECT_THAT(said, HasSubstr(main_text + "bundled:demo-emoji32.pkl ..."));
  EXPECT_THAT(said, testing::Not(HasSubstr(guide_text)));
}

TEST(PresetsCli, WithoutTheBundledModels) {
  const test::TempDir dir;  // a copy of the program, away from its models
  const auto program = dir / "edm2";
  std::filesystem::copy_file(test::program(), program);
  const RunResult run = test::run_command({program.string(), "presets"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, ContainsRegex("\ndemo +not installed "));
}

}  // namespace edm2
