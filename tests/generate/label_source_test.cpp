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
      read(write(name, text), 2);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  LabelOfSeed read(const std::filesystem::path& path, int64_t label_dim) {
    notes.clear();
    return load_labels(path, label_dim, notes);
  }
  test::TempDir dir;
  std::vector<std::string> notes;
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
    const LabelOfSeed labels = read(file, 2);
    for (const int64_t seed : {0, 2, -2, 1000}) EXPECT_TRUE(labels(seed).equal(first)) << file;
    for (const int64_t seed : {1, -1, 77}) EXPECT_TRUE(labels(seed).equal(second)) << file;
  }
}

TEST_F(LabelSource, OneLabelForAll) {
  for (const auto& file :
       {write("a.npy", npy_bytes(first)), write("a.json", "[1, 0.5]"), write("a.csv", "1,0.5")}) {
    const LabelOfSeed labels = read(file, 2);
    EXPECT_TRUE(labels(5).equal(first)) << file;
    EXPECT_TRUE(labels(6).equal(first)) << file;
  }
}

TEST_F(LabelSource, ClassesBecomeOneHot) {
  test::write_dataset(dir / "data", at::zeros({2, 3, 4, 4}, at::kByte), {1, 0});
  const LabelOfSeed labels = read(dir / "data", 3);  // the data lack the last class
  EXPECT_TRUE(labels(0).equal(at::tensor({0.f, 1.f, 0.f})));
  EXPECT_TRUE(labels(1).equal(at::tensor({1.f, 0.f, 0.f})));
  const LabelOfSeed listed = read(write("d.json", R"({"labels": [["x", 2]]})"), 3);
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
  contains(error_of("a.txt", "version https://git-lfs.github.com/spec/v1\n"), "Git LFS");
  contains(error_of("a.csv", "seed,class\n1,0\n0,1\n"), "line 2 is of the seed '1'");
  EXPECT_EQ(error_of("a.csv", "seed,class\n0,0\n1,1\n"), "no error");
  test::write_dataset(dir / "data", at::zeros({2, 3, 4, 4}, at::kByte), nullptr);
  EXPECT_THROW(read(dir / "data", 2), Error);
  EXPECT_THROW(read(dir / "nosuch.npy", 2), Error);
  try {
    read(dir / "nosuch", 2);
    ADD_FAILURE();
  } catch (const Error& error) {
    contains(error.what(), "no such file");
  }
}

TEST_F(LabelSource, ClassesOrOneVector) {
  struct Case {
    const char* file;
    std::string contents;
    const char* rows;  // of seeds 0, 1, 2; "" for an error
    bool told;
  };
  const auto npy = [](const Tensor& array) { return npy_bytes(array); };
  const Tensor classes = at::tensor({2, 0, 1}, at::kLong);
  const char* by_class = "001 100 010";
  const Case cases[] = {
      {"a.npy", npy(classes), by_class, true},
      {"a.npy", npy(classes.to(at::kInt)), by_class, true},
      {"a.npy", npy(classes.to(at::kFloat)), by_class, true},
      {"a.npy", npy(at::tensor({2, 0, 1, 1}, at::kLong)), by_class, false},
      {"a.npy", npy(classes.unsqueeze(1)), by_class, true},
      {"a.npy", npy(at::tensor({0.f, 0.f, 1.f})), "001 001 001", true},
      {"a.npy", npy(at::tensor({0, 0, 1}, at::kLong)), "100 100 010", true},
      {"a.npy", npy(at::tensor({0, 3, 1}, at::kLong)), "031 031 031", true},
      {"a.npy", npy(at::tensor({0, 3}, at::kLong)), "", false},
      {"a.npy", npy(at::tensor({0.5f, 1.f})), "", false},
      {"a.json", "[2, 0, 1]", by_class, true},
      {"a.json", "[2.0, 0.0, 1.0]", by_class, true},
      {"a.json", "[0.0, 1.0, 0.0]", "010 010 010", true},
      {"a.json", "[0, 1, 0]", "100 010 100", true},
      {"a.json", "[[0, 1, 0]]", "010 010 010", false},
      {"a.json", "[2, 0, 1, 1, 1, 1]", by_class, false},
      {"a.json", "[\"2\", \"0\", \"1\"]", by_class, false},
      {"a.json", "[2, 0, 3]", "203 203 203", true},
      {"a.json", "[2, 0, 7, 1]", "", false},
      {"a.json", R"({"labels": {"a": 2, "b": 0.0, "c": "1"}})", by_class, false},
      {"a.json", R"({"labels": [2, 0, 1]})", by_class, true},
      {"a.csv", "2\n0\n1\n", by_class, false},
      {"a.csv",
       "\xef\xbb\xbf"
       "2.0\r\n0.0\r\n1.0\r\n",
       by_class, false},
      {"a.csv", "label\n2\n0\n1\n", by_class, false},
      {"a.csv", "name;class\nx.png;2\ny.png;0\nz.png;1\n", by_class, false},
      {"a.csv", ",label\n0,2\n1,0\n2,1\n", by_class, false},
      {"a.csv", "x.png,2\ny.png,0\nz.png,1\n", by_class, false},
      {"a.csv", "0,0,1\n1,0,0\n0,1,0\n", by_class, false},
      {"a.csv", "0;0,0;1,0\n1;0;0\n0;1;0\n", by_class, false},
      {"a.csv", "0,0,0,1\n1,1,0,0\n2,0,1,0\n", by_class, false},
      {"a.csv", "0,0,1\n", "001 001 001", true},
      {"a.csv", "3\n0\n", "", false},
      {"a.csv", "0.5\n0\n", "", false},
      {"a.csv", "cat\ndog\n", "", false},
      {"a.tsv", "2\n0\n1\n", by_class, false},
  };
  for (const Case& c : cases) {
    std::string rows;
    try {
      const LabelOfSeed labels = read(write(c.file, c.contents), 3);
      for (int64_t seed = 0; seed < 3; ++seed) {
        if (seed > 0) rows += ' ';
        for (int64_t k = 0; k < 3; ++k) rows += std::to_string(labels(seed)[k].item<int>());
      }
    } catch (const Error&) {
    }
    EXPECT_EQ(rows, c.rows) << c.file << ": " << c.contents;
    EXPECT_EQ(!notes.empty(), c.told) << c.file << ": " << c.contents;
  }
}

TEST_F(LabelSource, NetworksOfOneNumber) {
  EXPECT_EQ(read(write("a.json", "[0, 0.5, 1]"), 1)(1).item<float>(), 0.5f);
  EXPECT_EQ(read(write("a.csv", "0\n7\n"), 1)(1).item<float>(), 7.f);
  EXPECT_EQ(read(write("a.npy", npy_bytes(at::tensor({0, 3}, at::kLong))), 1)(1).item<float>(),
            3.f);
}

}  // namespace edm2
