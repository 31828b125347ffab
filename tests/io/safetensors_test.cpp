#include "edm2/io/safetensors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstring>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "support/paths.h"

namespace edm2 {
namespace {

// A file with this header and `data_size` zero bytes of data.
std::string file_with(const std::string& header, size_t data_size) {
  const uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + header + std::string(data_size, '\0');
}

SafetensorsFile read_text(const std::string& contents) {
  return read_safetensors(std::as_bytes(std::span(contents)), "test");
}

StateDict example() {
  return {{"b", at::arange(6, at::kHalf).reshape({2, 3})},
          {"a.gain", at::full({}, 0.5)},
          {"empty", at::empty({0, 3})},
          {"flags", at::tensor({1, 0, 1}).to(at::kBool)}};
}

TEST(Safetensors, KeepsTensorsOrderAndMetadata) {
  const test::TempDir dir;
  const std::map<std::string, std::string> metadata = {{"format", "edm2"}, {"text", "ä \"\n"}};
  save_safetensors(dir / "x.safetensors", example(), metadata);
  const SafetensorsFile file = load_safetensors(dir / "x.safetensors");
  EXPECT_EQ(file.metadata, metadata);
  const StateDict expected = example();
  ASSERT_EQ(file.tensors.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto& [name, tensor] = file.tensors[i];
    EXPECT_EQ(name, expected[i].first);
    EXPECT_EQ(tensor.scalar_type(), expected[i].second.scalar_type());
    EXPECT_TRUE(at::equal(tensor, expected[i].second)) << name;
  }
  // Data begin at a multiple of eight.
  uint64_t length = 0;
  const std::string contents = read_text_file(dir / "x.safetensors");
  std::memcpy(&length, contents.data(), sizeof length);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_TRUE(is_safetensors(std::as_bytes(std::span(contents))));
}

TEST(Safetensors, KeepsEveryType) {
  const test::TempDir dir;
  for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                          at::kShort, at::kChar, at::kByte, at::kBool}) {
    const Tensor values = at::tensor({0, 1, 2, 100}).to(type);
    save_safetensors(dir / "x", {{"x", values}});
    const Tensor read_back = load_safetensors(dir / "x").tensors.at(0).second;
    EXPECT_EQ(read_back.scalar_type(), type);
    EXPECT_TRUE(at::equal(read_back, values)) << type;
  }
}

TEST(Safetensors, KeepsTheBytesOfTheNewerTypes) {
  const test::TempDir dir;
  for (const auto type :
       {at::kUInt16, at::kUInt32, at::kUInt64, at::kComplexFloat, at::kFloat8_e4m3fn,
        at::kFloat8_e5m2, at::kFloat8_e8m0fnu, at::kFloat8_e4m3fnuz, at::kFloat8_e5m2fnuz}) {
    Tensor values = at::empty({4}, type);
    auto* bytes = static_cast<uint8_t*>(values.mutable_data_ptr());
    for (size_t i = 0; i < values.nbytes(); ++i) bytes[i] = static_cast<uint8_t>(37 * i + 1);
    save_safetensors(dir / "x", {{"x", values}});
    const std::string file = read_text_file(dir / "x");
    for (const bool views : {false, true}) {
      const Tensor found =
          (views ? view_safetensors(SharedBytes(file), "x") : read_text(file)).tensors.at(0).second;
      EXPECT_EQ(found.scalar_type(), type);
      EXPECT_EQ(std::memcmp(found.const_data_ptr(), bytes, values.nbytes()), 0) << type;
    }
  }
}

// What safetensors 0.8 does with each. Where the format's text is stricter than that library
// (blanks in front of the header, a name that stands twice), so is this reader.
TEST(Safetensors, ReadsAsTheFormatSays) {
  const std::string one = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  const auto typed = [](const std::string& type, int elements, int bytes) {
    return R"({"a":{"dtype":")" + type + R"(","shape":[)" + std::to_string(elements) +
           R"(],"data_offsets":[0,)" + std::to_string(bytes) + "]}}";
  };
  struct Case {
    std::string header;
    size_t data;
    const char* error;  // a part of it; null: it is read
  };
  const Case cases[] = {
      {one + "}", 1, nullptr},
      {one + "}   \n\t ", 1, nullptr},
      {one + "}" + std::string(3, '\0'), 1, "zero bytes"},
      {" " + one + "}", 1, "no JSON object"},
      {"\n" + one + "}", 1, "no JSON object"},
      {one + R"(,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1, "stands twice"},
      {one + R"(,"__metadata__":{},"__metadata__":{}})", 1, "stands twice"},
      {one + R"(,"b":{"dtype":"F32","shape":[0,3],"data_offsets":[1,1]}})", 1, nullptr},
      {one + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})", 3, "holes"},
      {one + R"(,"__metadata__":{"k":"v"}})", 1, nullptr},
      {one + R"(,"__metadata__":null})", 1, nullptr},
      {one + R"(,"__metadata__":{"k":3}})", 1, "texts"},
      {one + "}", 2, "belong to no tensor"},
      {typed("F4", 4, 2), 2, "'a' has the type F4, which packs"},
      {typed("F4", 3, 2), 2, "'a' has the type F4, which packs"},
      {typed("F4", 4, 4), 4, "offsets do not fit"},
      {typed("F6_E2M3", 4, 3), 3, "'a' has the type F6_E2M3, which packs"},
      {typed("F6_E3M2", 5, 4), 4, "'a' has the type F6_E3M2, which packs"},
      {typed("F6_E3M2", 4, 4), 4, "offsets do not fit"},
      {typed("F8_E4M3", 4, 4), 4, nullptr},
      {typed("C64", 2, 16), 16, nullptr},
      {typed("U16", 2, 2), 2, "offsets do not fit"},
      {typed("C128", 1, 16), 16, "unknown type \"C128\""},
  };
  for (const Case& c : cases) {
    std::string error;
    try {
      read_text(file_with(c.header, c.data));
    } catch (const Error& e) {
      error = e.what();
    }
    if (c.error == nullptr) {
      EXPECT_EQ(error, "") << c.header;
    } else {
      EXPECT_NE(error.find(c.error), std::string::npos) << c.header << ": " << error;
    }
  }
}

TEST(Safetensors, PartsOfAFileKeepItAlive) {
  const test::TempDir dir;
  save_safetensors(dir / "x", example());
  SafetensorsFile file = view_safetensors(SharedBytes(read_text_file(dir / "x")), "x");
  for (size_t i = 0; i < file.tensors.size(); ++i)
    EXPECT_TRUE(at::equal(file.tensors[i].second, example()[i].second));
}

TEST(Safetensors, AcceptsPaddedHeadersAndAnyOrderOfNames) {
  const auto file =
      read_text(file_with(R"({"z":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                          R"("a":{"dtype":"F32","shape":[],"data_offsets":[2,6]}}   )",
                          6));
  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.tensors[0].first, "z");
  EXPECT_EQ(file.tensors[1].second.dim(), 0);
  EXPECT_TRUE(read_text(file_with("{}", 0)).tensors.empty());
}

TEST(Safetensors, RefusesMalformedHeaders) {
  const std::pair<std::string, size_t> wrong[] = {
      {"", 0},
      {"[]", 0},
      {"{", 0},
      {" {}", 0},
      {"{}", 1},  // data without a tensor
      {R"({"a":3})", 0},
      {R"({"__metadata__":{"a":3}})", 0},
      {R"({"__metadata__":[]})", 0},
      {R"({"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}})", 1},
      {R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[1]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})", 1},
      {R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 1},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2},  // hole
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
       R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3},  // overlap
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
       1},  // duplicate
      {R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0},
      {R"({"a":{"dtype":"U8","shape":[0,9223372036854775807],"data_offsets":[0,0]}})", 0},
      {R"({"a":[[[[[[[[]]]]]]]]})", 0},
      {std::string(R"({"a":)") + std::string(100000, '['), 0},
  };
  for (const auto& [header, data_size] : wrong)
    EXPECT_THROW(read_text(file_with(header, data_size)), Error) << header.substr(0, 200);
  EXPECT_THROW(read_text(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)), Error);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const test::TempDir dir;
  save_safetensors(dir / "x", example(), {{"k", "v"}});
  const std::string whole = read_text_file(dir / "x");
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(read_text(whole.substr(0, size)), Error) << size;
}

TEST(Safetensors, RefusesToWriteWhatTheFormatLacks) {
  const test::TempDir dir;
  EXPECT_THROW(save_safetensors(dir / "x", {{"a", at::ones({2})}, {"a", at::ones({2})}}), Error);
  EXPECT_THROW(save_safetensors(dir / "x", {{"__metadata__", at::ones({2})}}), Error);
  EXPECT_THROW(save_safetensors(dir / "x", {{"a", at::ones({2}, at::kComplexDouble)}}), Error);
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

RC_GTEST_PROP(SafetensorsProperty, ChangedBytesNeverCrash, ()) {
  static const std::string whole = [] {
    const test::TempDir dir;
    save_safetensors(dir / "x", example(), {{"k", "v"}});
    return read_text_file(dir / "x");
  }();
  std::string changed = whole;
  const auto flips = *rc::gen::inRange(1, 4);
  for (int i = 0; i < flips; ++i)
    changed[*rc::gen::inRange<size_t>(0, whole.size())] = *rc::gen::arbitrary<char>();
  try {
    read_text(changed);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace edm2
