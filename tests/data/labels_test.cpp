// Labels of pictures from dataset.json, tables, shards and folders: convert, check and train alike.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <filesystem>

#include "data/label_rules.h"
#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/data/check.h"
#include "edm2/data/convert.h"
#include "edm2/data/dataset.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/tar.h"
#include "edm2/io/zip.h"
#include "io/code_pages.h"
#include "support/paths.h"
#include "support/recording_progress.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;
using Files = std::vector<std::pair<std::string, std::string>>;

std::string tiny_png(int value) {
  const auto bytes = encode_png({4, 4, 3, std::vector<uint8_t>(48, static_cast<uint8_t>(value))});
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Pictures "a/0.png", "a/1.png", "b/2.png", and more files.
void make_zip(const fs::path& path, const Files& more, const std::string& folder = "") {
  ZipWriter zip(path);
  int value = 0;
  for (const char* name : {"a/0.png", "a/1.png", "b/2.png"})
    zip.add(folder + name, std::string_view(tiny_png(value++)));
  for (const auto& [name, text] : more) zip.add(name, std::string_view(text));
  zip.finish();
}

/// Labels and notes of a source, or the error.
std::string labels_of(const SourceOptions& options) {
  try {
    const auto source = open_picture_source(options);
    std::string text;
    for (const auto& item : source->items()) text += (text.empty() ? "" : " ") + item.label.dump();
    for (const std::string& note : source->notes()) text += " | " + note;
    const auto count = static_cast<int64_t>(source->items().size());
    if (const auto note = missing_labels_note(*source, count, false); !note.empty())
      text += " | " + note;
    return text;
  } catch (const Error& error) {
    return std::string("error: ") + error.what();
  }
}

/// Classes or vectors that training sees, "none", or the error.
std::string trained_labels(const fs::path& path) {
  try {
    const ImageDataset dataset({.path = path});
    if (dataset.label_kind() == LabelKind::none) return "none";
    std::string text;
    for (int64_t i = 0; i < dataset.size(); ++i) {
      const Tensor label = dataset.label(i);
      if (dataset.label_kind() == LabelKind::classes) {
        text += (i > 0 ? " " : "") + std::to_string(label.argmax().item<int64_t>());
        continue;
      }
      text += i > 0 ? " [" : "[";
      for (int64_t k = 0; k < label.numel(); ++k)
        text += (k > 0 ? "," : "") + nlohmann::json(label[k].item<float>()).dump();
      text += "]";
    }
    return text;
  } catch (const Error& error) {
    return std::string("error: ") + error.what();
  }
}

DatasetReport report_of(const fs::path& path) {
  return check_dataset({.path = path}, 1, *make_progress(ProgressStyle::quiet));
}

bool starts(const std::string& text, const std::string& begin) { return text.starts_with(begin); }
bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string utf16_text(const std::string& ascii) {
  std::string text = "\xff\xfe";
  for (const char c : ascii) {
    text += c;
    text += '\0';
  }
  return text;
}

void write_shard(const fs::path& path, const Files& files) {
  TarWriter tar(path);
  for (const auto& [name, contents] : files) tar.add(name, std::string_view(contents));
  tar.finish();
}

}  // namespace

TEST(DatasetLabels, FormsOfDatasetJson) {
  struct Case {
    const char* what;
    std::string json;
    const char* labels;  // of training and, as far as they go, of the source
  };
  const auto pairs = [](const std::string& a, const std::string& b, const std::string& c) {
    return R"({"labels": [["a/0.png", )" + a + R"(], ["a/1.png", )" + b + R"(], ["b/2.png", )" + c +
           "]]}";
  };
  const Case cases[] = {
      {"whole numbers", pairs("2", "0", "1"), "2 0 1"},
      {"an object", R"({"labels": {"b/2.png": 1, "a/0.png": 2, "a/1.png": 0}})", "2 0 1"},
      {"1.0", pairs("2.0", "0.0", "1.0"), "2 0 1"},
      {"mixed", pairs("2.0", "0", "\"1\""), "2 0 1"},
      {"exponents", pairs("2e0", "0", "10e-1"), "2 0 1"},
      {"texts", pairs("\"2\"", "\"0\"", "\" 1\""), "2 0 1"},
      {"texts with points", pairs("\"2.0\"", "\"0.0\"", "\"1.0\""), "2 0 1"},
      {"true", pairs("true", "false", "true"), "1 0 1"},
      {"true among numbers", pairs("true", "0", "2"), "1 0 2"},
      {"UTF-16", utf16_text(pairs("2", "0", "1")), "2 0 1"},
      {"byte-order mark", "\xef\xbb\xbf" + pairs("2", "0", "1"), "2 0 1"},
      {"names", pairs("\"dog\"", "\"cat\"", "\"dog\""), "1 0 1"},
      {"names with digits", pairs("\"A\"", "\"7\"", "\"b\""), "1 0 2"},
      {"vectors of texts", pairs(R"(["0.5", "1"])", "[0, 1]", "[true, 2.5]"),
       "[0.5,1.0] [0.0,1.0] [1.0,2.5]"},
      {"separators", R"({"labels": [["a\\0.png", 2], ["a\\1.png", 0], ["b\\2.png", 1]]})", "2 0 1"},
      {"twice the same",
       R"({"labels": [["a/0.png", 2], ["a/0.png", 2], ["a/1.png", 0], ["b/2.png", 1]]})", "2 0 1"},
      {"twice, the last counts",
       R"({"labels": [["a/0.png", 5], ["a/0.png", 2], ["a/1.png", 0], ["b/2.png", 1]]})", "2 0 1"},
      {"NaN elsewhere",
       R"({"fid": NaN, "labels": [["a/0.png", 2], ["a/1.png", 0], ["b/2.png", 1]]})", "2 0 1"},
      {"none", R"({"labels": null})", "none"},
      {"a fraction", pairs("0.5", "0", "1"), "error"},
      {"a key twice", R"({"labels": {"a/0.png": 5, "a/0.png": 2, "a/1.png": 0, "b/2.png": 1}})",
       "error"},
      {"two lists of labels", R"({"labels": [["a/0.png", 0]], "labels": []})", "error"},
      {"latin-1", pairs("\"caf\xe9\"", "\"x\"", "\"y\""), "error"},
      {"a name among numbers", pairs("\"cat\"", "0", "1"), "error"},
      {"NaN among names", pairs("\"nan\"", "\"0\"", "\"1\""), "error"},
      {"lists in lists", pairs("[[1]]", "[[0]]", "[[1]]"), "error"},
      {"an object as label", pairs("{\"a\": 1}", "0", "1"), "error"},
  };
  for (const Case& c : cases) {
    const test::TempDir dir;
    make_zip(dir / "x.zip", {{"dataset.json", c.json}});
    const std::string trained = trained_labels(dir / "x.zip"),
                      opened = labels_of({.path = dir / "x.zip"});
    EXPECT_TRUE(starts(trained, c.labels)) << c.what << ": " << trained;
    if (starts(c.labels, "error")) {
      EXPECT_EQ("error: " + trained.substr(7), opened) << c.what;
      EXPECT_THROW(report_of(dir / "x.zip"), Error) << c.what;
    } else if (!holds(c.labels, "[")) {
      const std::string wanted = c.labels == std::string("none") ? "null null null" : c.labels;
      EXPECT_TRUE(starts(opened, wanted)) << c.what << ": " << opened;
      EXPECT_TRUE(report_of(dir / "x.zip").obstacles.empty()) << c.what;
    }
    const bool told =
        holds(c.what, "names") || holds(c.what, "twice, ") || holds(c.what, "separators");
    EXPECT_EQ(holds(opened, " | "), told && !starts(c.labels, "error")) << c.what << ": " << opened;
  }
}

TEST(DatasetLabels, WhereDatasetJsonMayStand) {
  const std::string json = R"({"labels": [["a/0.png", 2], ["a/1.png", 0], ["b/2.png", 1]]})";
  const test::TempDir dir;
  const auto both = [&](const std::string& name, const std::string& labels,
                        const std::string& note) {
    const std::string opened = labels_of({.path = dir / name});
    EXPECT_TRUE(starts(opened, labels)) << name << ": " << opened;
    EXPECT_TRUE(holds(opened, note)) << name << ": " << opened;
    if (starts(labels, "null")) return;
    EXPECT_EQ(trained_labels(dir / name), labels) << name;
  };
  make_zip(dir / "case.zip", {{"Dataset.JSON", json}});
  both("case.zip", "2 0 1", "'Dataset.JSON'");
  make_zip(dir / "folder.zip", {{"x/y/dataset.json", json}}, "x/y/");
  both("folder.zip", "2 0 1", "'x/y/dataset.json'");
  make_zip(dir / "root.zip", {{"dataset.json", json}}, "x/");
  both("root.zip", "2 0 1", "the missing folder 'x'");
  make_zip(dir / "elsewhere.zip", {{"a/dataset.json", json}});
  both("elsewhere.zip", "null null null", "'a/dataset.json' is not read");
  make_zip(dir / "two.zip", {{"Dataset.json", json}, {"DATASET.JSON", json}});
  EXPECT_TRUE(holds(labels_of({.path = dir / "two.zip"}), "remove one"));
  write_shard(dir / "whole.tar", {{"a/0.png", tiny_png(0)},
                                  {"a/1.png", tiny_png(1)},
                                  {"b/2.png", tiny_png(2)},
                                  {"dataset.json", json}});
  EXPECT_EQ(labels_of({.path = dir / "whole.tar"}), "2 0 1");
}

TEST(DatasetLabels, LostLabelsAreTold) {
  const test::TempDir dir;
  make_zip(dir / "gap.zip", {{"dataset.json", R"({"labels": [["a/0.png", 0], ["b/2.png", 1]]})"}});
  EXPECT_EQ(labels_of({.path = dir / "gap.zip"}),
            "0 null 1 | 1 of 3 pictures has no label: 'a/1.png'; the dataset gets none");
  EXPECT_TRUE(
      holds(trained_labels(dir / "gap.zip"), "has no label for 'a/1.png' (1 of 3 pictures)"));
  EXPECT_EQ(report_of(dir / "gap.zip").obstacles,
            (std::vector<std::string>{"1 pictures have no label"}));
  make_zip(dir / "other.zip", {{"dataset.json", R"({"labels": [["x.png", 0], ["y.png", 1]]})"}});
  const std::string other = labels_of({.path = dir / "other.zip"});
  EXPECT_TRUE(holds(other, "names such as 'x.png'")) << other;
  EXPECT_TRUE(holds(other, "3 of 3 pictures have no label, the first is 'a/0.png'")) << other;
  EXPECT_FALSE(report_of(dir / "other.zip").obstacles.empty());
  EXPECT_TRUE(holds(trained_labels(dir / "other.zip"), "any of 3 pictures"));
  make_zip(dir / "none.zip", {});
  EXPECT_TRUE(holds(labels_of({.path = dir / "none.zip"}), "--labels=folders"));
  EXPECT_TRUE(report_of(dir / "none.zip").obstacles.empty());
  EXPECT_EQ(labels_of({.path = dir / "none.zip", .labels = "folders"}), "0 0 1");
}

TEST(DatasetLabels, FoldersAreClassesForAllCommands) {
  const test::TempDir dir;
  for (const char* name : {"in/cat/0.png", "in/dog/1.png"}) {
    fs::create_directories((dir / name).parent_path());
    write_file(dir / name, tiny_png(3));
  }
  EXPECT_EQ(labels_of({.path = dir / "in"}), "0 1");
  EXPECT_EQ(trained_labels(dir / "in"), "0 1");
  EXPECT_TRUE(report_of(dir / "in").obstacles.empty());
  write_file(dir / "in/dataset.json", std::string_view(R"({"labels": null})"));
  EXPECT_TRUE(holds(labels_of({.path = dir / "in"}), "--labels=none"));
  EXPECT_EQ(trained_labels(dir / "in"), "none");
  EXPECT_FALSE(report_of(dir / "in").obstacles.empty());
  fs::remove_all(dir / "in/dog");
  EXPECT_TRUE(holds(labels_of({.path = dir / "in", .labels = "folders"}), "lie in one folder"));
}

TEST(TableLabels, CertainMeaningsAreRead) {
  struct Case {
    const char* what;
    std::string csv;
    const char* labels;
    const char* note;  // a part of the notes; "" if there must be none
  };
  const Case cases[] = {
      {"plain", "a/0.png,2\na/1.png,0\nb/2.png,1\n", "2 0 1", ""},
      {"pandas", "name,label\na/0.png,2.0\na/1.png,0.0\nb/2.png,1.0\n", "2 0 1", ""},
      {"index", ",label,file\n0,2,a/0.png\n1,0,a/1.png\n2,1,b/2.png\n", "2 0 1", ""},
      {"index without headline", "0,a/0.png,2\n1,a/1.png,0\n2,b/2.png,1\n", "2 0 1", ""},
      {"names behind", "2,a/0.png\n0,a/1.png\n0,b/2.png\n", "2 0 0", ""},
      {"semicolons", "name;label\na/0.png;2\na/1.png;0\nb/2.png;1\n", "2 0 1", ""},
      {"tabs", "Image\tClass\na/0.png\t2\na/1.png\t0\nb/2.png\t1\n", "2 0 1", ""},
      {"blanks as separators", "a/0.png 2\na/1.png 0\nb/2.png 1\n", "2 0 1", ""},
      {"blanks", " a/0.png , dog \n a/1.png,cat\n b/2.png,\"dog \"\n", "1 0 1",
       "2 names of classes"},
      {"UTF-16", utf16_text("name,label\r\na/0.png,2\r\na/1.png,0\r\nb/2.png,1\r\n"), "2 0 1", ""},
      {"old Mac", "name,label\ra/0.png,2\ra/1.png,0\rb/2.png,1", "2 0 1", ""},
      {"equal lines", "a/0.png,2\na/0.png,2\na/1.png,0\nb/2.png,1\n", "2 0 1",
       "names no picture or one"},
      {"folder in front", "in/a/0.png,2\nin/a/1.png,0\nin/b/2.png,1\n", "2 0 1", "folder 'in'"},
      {"other lines", "a/0.png,2\na/1.png,0\nc/9.png,5\nb/2.png,1\n", "2 0 1", "'c/9.png'"},
      {"more columns", "path,width,label\na/0.png,4,2\na/1.png,4,0\nb/2.png,4,1\n", "2 0 1", ""},
      {"number and name", "path,label,class_name\na/0.png,2,x\na/1.png,0,y\nb/2.png,2,x\n", "2 0 2",
       ""},
      {"vectors", "path,v0,v1\na/0.png,0.5,1\na/1.png,0,1\nb/2.png,1,1\n",
       "[0.5,1.0] [0.0,1.0] [1.0,1.0]", ""},
      {"decimal commas", "a/0.png;0,5;1\na/1.png;0,25;1\nb/2.png;1;1\n",
       "[0.5,1.0] [0.25,1.0] [1.0,1.0]", ""},
      {"one fraction", "a/0.png,0.5\na/1.png,1\nb/2.png,2\n", "[0.5] [1.0] [2.0]", "not whole"},
      {"two spellings of a class", "a/0.png,Cat\na/1.png,cat\nb/2.png,dog\n", "0 1 2",
       "two classes"},
  };
  for (const Case& c : cases) {
    const test::TempDir dir;
    make_zip(dir / "x.zip", {});
    write_file(dir / "t.csv", c.csv);
    const std::string found = labels_of({.path = dir / "x.zip", .labels = dir / "t.csv"});
    EXPECT_TRUE(starts(found, c.labels)) << c.what << ": " << found;
    if (*c.note == '\0')
      EXPECT_EQ(found, c.labels) << c.what;
    else
      EXPECT_TRUE(holds(found, c.note)) << c.what << ": " << found;
  }
}

TEST(TableLabels, UncertainOnesAreRefused) {
  struct Case {
    const char* what;
    std::string csv;
    const char* error;
  };
  const Case cases[] = {
      {"contradiction", "a/0.png,2\na/1.png,0\nb/2.png,1\na/0.png,1\n",
       "'a/0.png' in line 1 and to 'a/0.png' in line 4"},
      {"negative", "a/0.png,-1\na/1.png,0\nb/2.png,1\n", "'a/0.png' (line 1) the class -1"},
      {"huge", "a/0.png,1440764\na/1.png,0\nb/2.png,1\n", "the class 1440764"},
      {"gap", "a/0.png,2\nb/2.png,1\n", "has no label for 'a/1.png' (1 of 3 pictures)"},
      {"other names", "x,2\ny,1\nz,1\n",
       "any of 3 pictures, the first is 'a/0.png' (it has names such as 'z')"},
      {"empty label", "a/0.png,2\na/1.png,\nb/2.png,1\n",
       "no label for 'a/1.png': it is missing in line 2"},
      {"NaN", "a/0.png,2\na/1.png,nan\nb/2.png,1\n", "the label 'nan'"},
      {"ragged", "a/0.png,2,3\na/1.png,0\nb/2.png,1,1\n", "it is missing in line 2"},
      {"two columns", "path,label,class\na/0.png,2,0\na/1.png,0,0\nb/2.png,1,1\n",
       "'label' and 'class'; keep one"},
      {"names only", "a/0.png\na/1.png\nb/2.png\n", "has one column"},
      {"numbers of lines", "0,a/0.png\n1,a/1.png\n2,b/2.png\n", "counts the lines"},
      {"zero byte", std::string("a/0.png,2\na/1.png\0,0\n", 21), "zero byte"},
      {"thousands", "a/0.png;1,000\na/1.png;2,000\nb/2.png;3,000\n", "thousands"},
      {"empty", "", "is empty"},
      {"blank lines", "\n \n", "is empty"},
      {"#N/A", "a/0.png,5\na/1.png,#N/A\nb/2.png,1\n", "the label '#N/A'"},
      {"unknown", "a/0.png,5\na/1.png,1\nb/2.png,unknown\n", "the label 'unknown'"},
      {"0x5", "a/0.png,5\na/1.png,1\nb/2.png,0x5\n", "the label '0x5'"},
      {"decimal comma", "name,label\na/0.png,2\na/1.png,1,5\nb/2.png,0\n",
       "has 3 cells, the headline names 2 columns"},
      {"one name in two forms", "a/0.png,2\n./a/0.png,1\na/1.png,0\nb/2.png,1\n",
       "to 'a/0.png' in line 1 and to './a/0.png' in line 2"},
  };
  for (const Case& c : cases) {
    const test::TempDir dir;
    make_zip(dir / "x.zip", {});
    write_file(dir / "t.csv", c.csv);
    const std::string found = labels_of({.path = dir / "x.zip", .labels = dir / "t.csv"});
    EXPECT_TRUE(starts(found, "error: ") && holds(found, c.error)) << c.what << ": " << found;
    EXPECT_TRUE(holds(found, "t.csv")) << c.what << ": " << found;
  }
}

TEST(TableLabels, LinesOfJsonAndOtherDatasetJson) {
  const test::TempDir dir;
  make_zip(dir / "x.zip", {});
  write_file(dir / "metadata.jsonl",
             std::string_view("{\"file_name\": \"a/0.png\", \"label\": 2, \"text\": \"x\"}\n\n"
                              "{\"file_name\": \"a/1.png\", \"label\": 0}\r\n"
                              "{\"file_name\": \"b/2.png\", \"label\": 1}"));
  EXPECT_EQ(labels_of({.path = dir / "x.zip", .labels = dir / "metadata.jsonl"}), "2 0 1");
  write_file(dir / "bad.jsonl",
             std::string_view("{\"file_name\": \"a/0.png\", \"label\": 2}\n{,}\n"));
  EXPECT_TRUE(
      holds(labels_of({.path = dir / "x.zip", .labels = dir / "bad.jsonl"}), "line 2 of '"));
  write_file(dir / "twice.jsonl",
             std::string_view("{\"file_name\": \"a/0.png\", \"label\": 2, \"label\": 1}\n"));
  EXPECT_TRUE(
      holds(labels_of({.path = dir / "x.zip", .labels = dir / "twice.jsonl"}), "line 1 of '"));
  write_file(dir / "other.json",
             std::string_view(R"({"labels": {"a/0": "2", "a/1": "0", "b/2": "1"}})"));
  EXPECT_TRUE(starts(labels_of({.path = dir / "x.zip", .labels = dir / "other.json"}), "2 0 1 | "));
}

TEST(ShardLabels, FormsOfFilesBesidePictures) {
  struct Case {
    const char* name;
    std::string contents;
    const char* label;
  };
  const Case cases[] = {
      {"0.cls", "7", "7"},
      {"0.cls", " +0_07\n", "7"},
      {"0.cls", "\t 7\f", "7"},
      {"0.CLS", "7", "7"},
      {"0.cls", utf16_text("7"), "7"},
      {"0.cls", "7.0", "error"},
      {"0.cls", "7_", "error"},
      {"0.cls", "-7", "error"},
      {"0.cls", "", "error"},
      {"0.cls", "99999999999999999999", "error"},
      {"0.JSON", "{\"label\": 7}", "7"},
      {"0.json", "{\"label\": 7.0}", "7"},
      {"0.json", "{\"label\": \"7\", \"similarity\": NaN}", "7"},
      {"0.json", "{\"caption\": \"x\", \"similarity\": NaN}", "null"},
      {"0.json", "{\"label\": NaN}", "null"},
      {"0.json", "{\"label\": \"cat\"}", "0"},
      {"0.json", "true", "1"},
      {"0.json", "{\"class\": [1, \"2\"]}", "[1,2.0]"},
      {"0.json", "{\"label\": 1.5}", "error"},
      {"0.json", "\"7\"", "7"},
      {"0.json", "\"cat\"", "0"},
      {"0.json", "{\"Label\": 7}", "7"},
      {"0.json", "{\"label\": 7, \"class\": 7}", "7"},
      {"0.json", "{\"label\": 7, \"class\": 6}", "error"},
      {"0.json", "{\"label\": 7, \"label\": 6}", "error"},
      {"0.json", "{\"label\": {\"id\": 7}}", "error"},
      {"0.json", "{\"label\": [[1]]}", "error"},
      {"0.json", "{", "error"},
  };
  for (const Case& c : cases) {
    const test::TempDir dir;
    write_shard(dir / "x.tar", {{c.name, c.contents}, {"0.png", tiny_png(1)}});
    const std::string found = labels_of({.path = dir / "x.tar"});
    EXPECT_TRUE(starts(found, c.label)) << c.name << " " << c.contents << ": " << found;
    EXPECT_EQ(labels_of({.path = dir / "x.tar", .labels = "none"}), "null") << c.contents;
  }
}

TEST(ShardLabels, NothingIsPassedOverWithoutAWord) {
  const test::TempDir dir;
  const auto found = [&](const Files& files) {
    write_shard(dir / "x.tar", files);
    return labels_of({.path = dir / "x.tar"});
  };
  const std::pair<std::string, std::string> picture = {"0.png", tiny_png(1)};
  EXPECT_EQ(found({picture, {"0.cls", "3"}, {"0.json", "{\"label\": 3}"}}), "3");
  EXPECT_EQ(found({picture, {"0.json", "{\"caption\": \"x\"}"}, {"0.cls", "3"}}), "3");
  for (const Files& files : {Files{picture, {"0.cls", "3"}, {"0.json", "{\"label\": 4}"}},
                             Files{picture, {"0.json", "4"}, {"0.cls", "3"}}})
    EXPECT_EQ(found(files),
              "3 | 1 sample has another label in .json than in .cls, which counts; the first is "
              "'0.json'");
  EXPECT_EQ(found({{"images/0.png", tiny_png(1)}, {"labels/0.cls", "3"}, {"labels/1.cls", "4"}}),
            "null | passed over 2 labels that belong to no picture, such as 'labels/0.cls'");
  EXPECT_TRUE(
      holds(found({picture, {"0.cls", "3"}, {"dataset.json", R"({"labels": [["0.png", 1]]})"}}),
            "3 | dataset.json in the archive is not read"));
}

TEST(DatasetLabels, AFolderInFrontOfTheClassesIsTold) {
  const test::TempDir dir;
  const Files files = {{"train/cat/0.png", tiny_png(1)}, {"train/dog/1.png", tiny_png(2)}};
  for (const auto& [name, contents] : files) {
    fs::create_directories((dir / "in" / name).parent_path());
    write_file(dir / "in" / name, contents);
  }
  EXPECT_EQ(labels_of({.path = dir / "in"}),
            "null null | all pictures lie in the folder 'train', so its 2 folders are no classes; "
            "name '" +
                (dir / "in/train").string() + "' to take them");
  EXPECT_EQ(labels_of({.path = dir / "in/train"}), "0 1");
  ZipWriter zip(dir / "x.zip");
  for (const auto& [name, contents] : files) zip.add(name, std::string_view(contents));
  zip.finish();
  write_shard(dir / "x.tar", files);
  for (const char* name : {"x.zip", "x.tar"})
    EXPECT_TRUE(holds(labels_of({.path = dir / name}), "pack the archive without that folder"));
  EXPECT_TRUE(holds(report_of(dir / "in").notes.at(0), "'train'"));
}

TEST(DatasetLabels, AnEmptyListIsTold) {
  const test::TempDir dir;
  make_zip(dir / "x.zip", {{"dataset.json", R"({"labels": []})"}});
  EXPECT_TRUE(
      holds(labels_of({.path = dir / "x.zip"}), "lists no labels, so the pictures have none"));
}

TEST(DatasetLabels, WhatTrainingRefusesIsTold) {
  const std::pair<const char*, const char*> cases[] = {
      {"-1, 0, 1", "'a/0.png' has the class -1; classes count from 0 to 999999"},
      {"0, 9223372036854775808, 1", "'a/1.png' has the class 9223372036854775808"},
      {"0, 1000000, 1", "'a/1.png' has the class 1000000"},
      {"[1, 2], [1], [1, 2]", "'a/1.png' has a label of another length"},
      {"[1, 2], 1, 2", "'a/1.png' has a label of another kind"},
      {"[1, 2], [1, 1e39], [1, 2]", "'a/1.png' has the number 1e+39, which is infinite"},
      {"0, null, 1", ""},
      {"[0, 1], [1, 0], [0, 1]", ""},
  };
  for (const auto& [labels, note] : cases) {
    const test::TempDir dir;
    const auto list = nlohmann::json::parse("[" + std::string(labels) + "]");
    make_zip(dir / "x.zip",
             {{"dataset.json",
               nlohmann::json{
                   {"labels", {{"a/0.png", list[0]}, {"a/1.png", list[1]}, {"b/2.png", list[2]}}}}
                   .dump()}});
    const auto source = open_picture_source({.path = dir / "x.zip"});
    const std::string found = useless_labels_note(*source, 3);
    EXPECT_EQ(found.empty(), std::string_view(note).empty()) << labels << ": " << found;
    EXPECT_TRUE(holds(found, note)) << found;
    if (!std::string_view(note).empty()) {
      EXPECT_TRUE(starts(trained_labels(dir / "x.zip"), "error")) << labels;
      EXPECT_FALSE(report_of(dir / "x.zip").obstacles.empty()) << labels;
      EXPECT_EQ(report_of(dir / "x.zip").obstacles, std::vector<std::string>{found}) << labels;
    }
    EXPECT_EQ(useless_labels_note(*source, 0), "");
  }
}

TEST(DatasetLabels, AClassOf64BitsIsNotNegative) {
  const test::TempDir dir;
  make_zip(dir / "x.zip",
           {{"dataset.json",
             R"({"labels": {"a/0.png": 1, "a/1.png": 9223372036854775808, "b/2.png": 0}})"}});
  const DatasetReport report = report_of(dir / "x.zip");
  EXPECT_EQ(report.classes, (std::map<int64_t, int64_t>{{0, 1}, {1, 1}}));
  EXPECT_EQ(report.label_dim, 2);
  EXPECT_EQ(report.labelled, 3);
}

TEST(DatasetLabels, WhatEverySourceGivesIsNotRefused) {
  const test::TempDir dir;
  for (const char* name : {"in/cat/0.png", "in/dog/1.png"}) {
    fs::create_directories((dir / name).parent_path());
    write_file(dir / name, tiny_png(3));
  }
  write_shard(dir / "x.tar", {{"0.png", tiny_png(1)}, {"0.cls", "3"}});
  make_zip(dir / "x.zip", {});
  write_file(dir / "t.csv", std::string_view("a/0.png,2\na/1.png,0\nb/2.png,1\n"));
  for (const SourceOptions& options :
       {SourceOptions{.path = dir / "in"}, SourceOptions{.path = dir / "x.tar"},
        SourceOptions{.path = dir / "x.zip", .labels = "folders"},
        SourceOptions{.path = dir / "x.zip", .labels = dir / "t.csv"}}) {
    const auto source = open_picture_source(options);
    const auto count = static_cast<int64_t>(source->items().size());
    EXPECT_FALSE(source->items().at(0).label.is_null()) << options.path;
    EXPECT_EQ(useless_labels_note(*source, count), "") << options.path;
  }
}

TEST(TableLabels, VectorsInBrackets) {
  const test::TempDir dir;
  make_zip(dir / "x.zip", {});
  write_file(dir / "t.csv", std::string_view("name,label\na/0.png,\"[0.5, 1]\"\na/1.png,[1 2.5]\n"
                                             "b/2.png,\"[ 0 , 1 ]\"\n"));
  EXPECT_EQ(labels_of({.path = dir / "x.zip", .labels = dir / "t.csv"}),
            "[0.5,1.0] [1.0,2.5] [0.0,1.0]");
}

TEST(ShardLabels, SkippingLeavesOutTheLabelAlone) {
  const test::TempDir dir;
  write_shard(dir / "x.tar", {{"0.png", tiny_png(1)},
                              {"0.json", "{"},
                              {"1.png", tiny_png(2)},
                              {"1.cls", "1"},
                              {"1.json", "{ this is not read"}});
  EXPECT_TRUE(starts(labels_of({.path = dir / "x.tar"}), "error"));
  const auto source = open_picture_source({.path = dir / "x.tar", .on_error = OnError::skip});
  ASSERT_EQ(source->refused().size(), 1u);
  EXPECT_EQ(source->refused()[0].name, "0.json");
  EXPECT_EQ(source->items()[1].label, 1);
  const DatasetReport report = report_of(dir / "x.tar");
  EXPECT_EQ(report.broken.size(), 1u);
  EXPECT_EQ(report.unlabelled, std::vector<std::string>{"0.png"});
}

// Whatever becomes of the names: convert and train give the same right labels, or say something.
RC_GTEST_PROP(DatasetLabelsProperty, NothingIsLostInSilence, ()) {
  const std::vector<std::string> names = {"a/0.png", "a/1.png", "b/2.png"};
  const int rule = *rc::gen::inRange(0, 9), wrong = *rc::gen::inRange(0, 6);
  nlohmann::json pairs = nlohmann::json::array();
  for (size_t i = 0; i < names.size(); ++i) {
    std::string name = names[i];
    if (static_cast<int>(i) == wrong)
      name = *rc::gen::elementOf(
          std::vector<std::string>{"c/7.png", "", "a", "../0.png", "a/0.png", "0.png"});
    if (rule == 1) std::replace(name.begin(), name.end(), '/', '\\');
    if (rule == 2) name = "./" + name;
    if (rule == 3) name = "in/" + name;
    if (rule == 4) name = name.substr(name.find('/') + 1);
    if (rule == 5) name += ".jpg";
    if (rule == 6)
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (rule == 7) name = name.substr(0, name.rfind('.'));
    if (rule == 8) name = "/" + name;
    pairs.push_back({name, i});
  }
  const test::TempDir dir;
  make_zip(dir / "x.zip", {{"dataset.json", nlohmann::json{{"labels", pairs}}.dump()}});
  const std::string opened = labels_of({.path = dir / "x.zip"}),
                    trained = trained_labels(dir / "x.zip");
  if (wrong >= 3 && rule != 5) {
    RC_ASSERT(starts(opened, "0 1 2"));
  }
  if (starts(opened, "0 1 2")) {
    RC_ASSERT(trained == "0 1 2");
    RC_ASSERT(rule == 0 || holds(opened, " | "));
  } else {
    RC_ASSERT(holds(opened, " | ") || starts(opened, "error"));
    RC_ASSERT(starts(trained, "error"));
  }
}

}  // namespace edm2
