#include "generate/label_source.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/npz.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

class LabelSource : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) {
    std::ofstream(dir / name, std::ios::binary) << text;
    return dir / name;
  }
  std::string error_of(const std::string& name, const std::string& text) {
    try {
      load_labels(write(name, text), 2);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  test::TempDir dir;
};

const Tensor first = at::tensor({1.f, 0.5f}), second = at::tensor({-2.f, 0.25f});

}  // namespace

TEST_F(LabelSource, EveryFormatGivesTheSameLabels) {
  const Tensor rows = at::stack({first, second});
  std::vector<std::filesystem::path> files = {
      write("a.npy", npy_bytes(rows)),
      write("b.npy", npy_bytes(rows.to(at::kDouble))),
      write("a.csv", "1,0.5\r\n\n -2 ; +0.25\n"),
      write("a.json", "[[1, 0.5], [-2, 0.25]]"),
      write("dataset.json", R"({"labels": [["x.png", [1, 0.5]], ["y.png", [-2, 0.25]]]})"),
  };
  test::write_dataset(dir / "data", at::zeros({2, 3, 4, 4}, at::kByte), {{1, 0.5}, {-2, 0.25}});
  files.push_back(dir / "data");
  for (const auto& file : files) {
    const LabelOfSeed labels = load_labels(file, 2);
    for (const int64_t seed : {0, 2, -2, 1000}) EXPECT_TRUE(labels(seed).equal(first)) << file;
    for (const int64_t seed : {1, -1, 77}) EXPECT_TRUE(labels(seed).equal(second)) << file;
  }
}

TEST_F(LabelSource, OneLabelForAll) {
  for (const auto& file :
       {write("a.npy", npy_bytes(first)), write("a.json", "[1, 0.5]"), write("a.csv", "1,0.5")}) {
    const LabelOfSeed labels = load_labels(file, 2);
    EXPECT_TRUE(labels(5).equal(first)) << file;
    EXPECT_TRUE(labels(6).equal(first)) << file;
  }
}

TEST_F(LabelSource, ClassesBecomeOneHot) {
  test::write_dataset(dir / "data", at::zeros({2, 3, 4, 4}, at::kByte), {1, 0});
  const LabelOfSeed labels = load_labels(dir / "data", 3);  // the data lack the last class
  EXPECT_TRUE(labels(0).equal(at::tensor({0.f, 1.f, 0.f})));
  EXPECT_TRUE(labels(1).equal(at::tensor({1.f, 0.f, 0.f})));
  const LabelOfSeed listed = load_labels(write("d.json", R"({"labels": [["x", 2]]})"), 3);
  EXPECT_TRUE(listed(9).equal(at::tensor({0.f, 0.f, 1.f})));
}

TEST_F(LabelSource, WrongFiles) {
  const auto contains = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  contains(error_of("a.csv", "1,2\n3\n"), "label 1 has 1 numbers, the network takes 2");
  contains(error_of("a.csv", "1,x\n"), "'x' is not a number");
  contains(error_of("a.csv", "1,inf\n"), "not finite");
  contains(error_of("a.csv", ""), "no labels");
  contains(error_of("a.json", "{}"), "neither a list of labels");
  contains(error_of("a.json", "[[1, \"x\"]]"), "not a number");
  contains(error_of("a.json", "[[1, 2"), "a.json");
  contains(error_of("a.json", R"({"labels": [["x", 2]]})"), "class 2");
  contains(error_of("a.json", R"({"labels": null})"), "neither");
  contains(error_of("a.npy", npy_bytes(at::zeros({2, 3}))), "3 numbers, the network takes 2");
  contains(error_of("a.npy", npy_bytes(at::zeros({2, 1, 2}))), "label vectors");
  contains(error_of("a.npy", "damaged"), "a.npy");
  contains(error_of("a.txt", "1,2"), ".csv");
  test::write_dataset(dir / "data", at::zeros({2, 3, 4, 4}, at::kByte), nullptr);
  EXPECT_THROW(load_labels(dir / "data", 2), Error);
  EXPECT_THROW(load_labels(dir / "nosuch.npy", 2), Error);
}

}  // namespace edm2
