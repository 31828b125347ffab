// The example programs and the lines of README.md that show one.
#include <gtest/gtest.h>

#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace fs = std::filesystem;

TEST(ExampleCli, SampleDrawsWhatTheProgramDraws) {
  const test::TempDir dir;
  test::RunOptions here;
  here.folder = dir.path();
  const auto example = test::run_command({test::program().parent_path() / "example_sample"}, here);
  ASSERT_EQ(example.exit_code, 0) << example.err;
  EXPECT_NE(example.out.find("sigma 0\n"), std::string::npos) << example.out;
  const auto program = test::run_edm2({"generate", "--preset=demo", "--steps=16", "--seeds=0-3",
                                       "--outdir", dir / "out", "--no-metadata", "--quiet"});
  ASSERT_EQ(program.exit_code, 0) << program.err;
  for (const char* seed : {"0", "1", "2", "3"}) {
    const std::string picture = test::read_file(dir / (std::string(seed) + ".png"));
    EXPECT_FALSE(picture.empty());
    EXPECT_EQ(picture, test::read_file(dir / "out" / ("00000" + std::string(seed) + ".png")));
  }
}

TEST(Example, ReadmeShowsTheProgramThatIsBuilt) {
  const std::string source = test::read_file(test::source_dir() / "examples" / "sample.cpp");
  const std::string readme = test::read_file(test::source_dir() / "README.md");
  const std::string code = source.substr(source.find("#include"));
  EXPECT_NE(readme.find("```cpp\n" + code + "```\n"), std::string::npos)
      << "README.md must show examples/sample.cpp from its first include to its end";
}

}  // namespace edm2
