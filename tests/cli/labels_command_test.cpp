// Labels on their way through the program: convert, check, train, generate.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;
using test::run_edm2;

class LabelsCli : public testing::Test {
 protected:
  LabelsCli() {
    for (int i = 0; i < 4; ++i) {
      const std::string name = std::string(i < 2 ? "a/" : "b/") + std::to_string(i) + ".png";
      fs::create_directories((dir / "in" / name).parent_path());
      write_file(dir / "in" / name,
                 encode_png({8, 8, 3, std::vector<uint8_t>(192, static_cast<uint8_t>(9 * i))}));
      names.push_back(name);
    }
  }
  test::RunResult convert(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"dataset",  "convert", "--source",
                                          dir / "in", "--dest",  dir / "out.zip"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_edm2(arguments);
  }
  std::string labels() {
    const ZipReader zip(dir / "out.zip");
    const auto bytes = zip.read("dataset.json", size_t{1} << 20);
    const auto json =
        nlohmann::json::parse(reinterpret_cast<const char*>(bytes.data()),
                              reinterpret_cast<const char*>(bytes.data()) + bytes.size());
    if (json["labels"].is_null()) return "null";
    std::string text;
    for (const auto& pair : json["labels"]) text += (text.empty() ? "" : " ") + pair[1].dump();
    return text;
  }
  void write_labels(const std::string& rename_to, size_t skip = 0) {
    auto pairs = nlohmann::json::array();
    for (size_t i = skip; i < names.size(); ++i) pairs.push_back({rename_to + names[i], 7 - i});
    write_file(dir / "in/dataset.json", nlohmann::json{{"labels", pairs}}.dump());
  }

  test::TempDir dir;
  std::vector<std::string> names;
};

}  // namespace

TEST_F(LabelsCli, OtherNamesAreMatchedWithANote) {
  write_labels("photos/");
  const auto run = convert({});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(labels(), "7 6 5 4");
  EXPECT_NE(run.out.find("Note: the names in dataset.json in '"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("the folder 'photos' in front"), std::string::npos) << run.out;
  const auto check = run_edm2({"dataset", "check", "--source", dir / "in"});
  EXPECT_NE(check.out.find("Training:   possible"), std::string::npos) << check.out;
  const auto train = run_edm2({"train", "--dry-run", "--outdir", dir / "run", "--data", dir / "in",
                               "--preset=edm2-img64-xs", "--channels=8"});
  EXPECT_EQ(train.exit_code, 0) << train.err;
}

TEST_F(LabelsCli, AGapIsToldWithItsCount) {
  write_labels("", 1);
  const auto run = convert({});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(labels(), "null");
  EXPECT_NE(run.out.find("Note: 1 of 4 pictures has no label: 'a/0.png'; the dataset gets none"),
            std::string::npos)
      << run.out;
  test::expect_error(run_edm2({"train", "--dry-run", "--outdir", dir / "run", "--data", dir / "in",
                               "--preset=edm2-img64-xs"}),
                     1, "has no label for 'a/0.png' (1 of 4 pictures)");
}

TEST_F(LabelsCli, ErrorsOfLabelFilesSayWhere) {
  write_file(dir / "in/dataset.json", std::string_view("{\"labels\": [\n[\"a/0.png\", 1],\n]}"));
  test::expect_error(convert({}), 1, "line 3, column 1: a comma stands before ']'");
  fs::remove(dir / "in/dataset.json");
  write_file(dir / "t.csv",
             std::string_view("a/0.png,1\na/1.png,1\nb/2.png,0\nb/3.png,0\na/1.png,0\n"));
  test::expect_error(convert({"--labels", dir / "t.csv"}), 1, "line 2 and to 'a/1.png' in line 5");
  write_file(dir / "t.csv", std::string_view("x/0.png,1\nx/1.png,1\n"));
  test::expect_error(convert({"--labels", dir / "t.csv"}), 1, "it has names such as 'x/1.png'");
}

TEST_F(LabelsCli, NotesWithNaNBesidePicturesEndNothing) {
  TarWriter tar(dir / "x.tar");
  for (const std::string& name : names) {
    const std::string key = name.substr(2, 1);
    tar.add(key + ".png", read_text_file(dir / "in" / name));
    tar.add(key + ".json", std::string_view("{\"similarity\": NaN}"));
  }
  tar.add("3.cls", std::string_view("three"));
  tar.finish();
  const auto run = [&](const std::string& option) {
    return run_edm2(
        {"dataset", "convert", "--source", dir / "x.tar", "--dest", dir / "out.zip", option});
  };
  test::expect_error(run("--threads=1"), 1, "'3.cls' in '");
  const auto skipping = run("--on-error=skip");
  EXPECT_NE((skipping.out + skipping.err).find("3.cls"), std::string::npos);
  EXPECT_EQ(labels(), "null");
  EXPECT_EQ(run("--labels=none").exit_code, 0);
}

}  // namespace edm2
