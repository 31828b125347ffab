#include "edm2/io/npz.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {
namespace {

std::string npy(const std::string& dict, const std::string& data) {
  std::string bytes = std::string("\x93NUMPY\x01\x00", 8);
  bytes += {static_cast<char>(dict.size() & 255), static_cast<char>(dict.size() >> 8)};
  return bytes + dict + data;
}

Tensor parse(const std::string& bytes) { return read_npy(std::as_bytes(std::span(bytes))); }

}  // namespace

TEST(Npy, ReadsFortranOrder) {
  const auto dict = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
  const Tensor x = parse(npy(dict, "\1\2\3\4\5\6"));
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_TRUE(x.equal(at::tensor({1, 3, 5, 2, 4, 6}, at::kByte).view({2, 3})));
}

TEST(Npy, ReadsScalarsAndUnsignedIntegers) {
  const std::string two(2, '\xff'), four(4, '\xff'), eight(8, '\x7f');
  const auto dict = [](const std::string& type) {
    return "{'descr': '" + type + "', 'fortran_order': False, 'shape': ()}";
  };
  EXPECT_EQ(parse(npy(dict("<u2"), two)).item<int64_t>(), 65535);
  EXPECT_EQ(parse(npy(dict("<u4"), four)).item<int64_t>(), 4294967295);
  EXPECT_EQ(parse(npy(dict("<u8"), eight)).item<int64_t>(), 0x7f7f7f7f7f7f7f7f);
  EXPECT_EQ(parse(npy(dict("|b1"), "\x05")).item<bool>(), true);
  EXPECT_THROW(parse(npy(dict("<u8"), std::string(8, '\xff'))), Error);
}

TEST(Npy, RefusesWhatItCannotRead) {
  const auto shape = [](const std::string& type, const std::string& axes) {
    return npy("{'descr': '" + type + "', 'fortran_order': False, 'shape': " + axes + "}",
               "12345678");
  };
  EXPECT_EQ(parse(shape("<f4", "(2,)")).numel(), 2);
  EXPECT_THROW(parse(shape("<f4", "(3,)")), Error);
  EXPECT_THROW(parse(shape(">f4", "(2,)")), Error);
  EXPECT_THROW(parse(shape("|O", "(1,)")), Error);
  EXPECT_THROW(parse(shape("<f4", "(-1,)")), Error);
  EXPECT_THROW(parse(shape("<f4", "(4611686018427387904, 4)")), Error);
  EXPECT_THROW(parse(shape("<f4", "(0, 4611686018427387904, 4611686018427387904)")), Error);
  EXPECT_THROW(parse(shape("<f4", "2")), Error);
  EXPECT_THROW(parse(npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': ()}", "")),
               Error);
  EXPECT_THROW(parse("no numpy file at all"), Error);
  EXPECT_THROW(parse(""), Error);
}

TEST(Npy, WritesTheHeaderOfNumpy) {
  const std::string bytes = npy_bytes(at::zeros({8, 4, 4}));
  EXPECT_EQ(bytes.substr(10, 61), "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 4, 4), ");
  EXPECT_EQ(bytes.size(), 128 + 8 * 4 * 4 * 4u);
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_NE(npy_bytes(at::zeros({3})).find("(3,), }"), std::string::npos);
  EXPECT_NE(npy_bytes(at::zeros({})).find("(), }"), std::string::npos);
}

TEST(Npz, KeepsNamesAndOrder) {
  const test::TempDir dir;
  write_npz(dir / "x.npz", {{"second", at::ones({2})}, {"a/first", at::arange(3)}});
  const NpzFile file(dir / "x.npz");
  EXPECT_EQ(file.names(), (std::vector<std::string>{"second", "a/first"}));
  EXPECT_TRUE(file.contains("second"));
  EXPECT_FALSE(file.contains("second.npy"));
  EXPECT_TRUE(file.get("a/first").equal(at::arange(3)));
}

TEST(NpzGolden, ReadsEveryArrayOfTheReference) {
  EDM2_REQUIRE_REFERENCE();
  const NpzFile seeds(test::reference_dir() / "rng" / "training_seeds.npz");
  EXPECT_EQ(seeds.get("seed_0_0").item<int64_t>(), 397586535);
  EXPECT_EQ(seeds.names().front(), "seed_0_0");
  EXPECT_EQ(seeds.get("sampler_seed0_size10_start25").scalar_type(), at::kLong);
  EXPECT_THROW(seeds.get("missing"), Error);

  const NpzFile steps(test::reference_dir() / "training" / "main" / "per_step.npz");
  const auto names = steps.get_strings("param_names");
  EXPECT_EQ(names.front(), "unet.out_gain");
  EXPECT_EQ(names.back(), "logvar_linear.weight");
  EXPECT_THROW(steps.get("param_names"), Error);

  const NpzFile masks(test::reference_dir() / "training" / "dropout" / "dropout_masks.npz");
  for (const std::string& name : masks.names()) EXPECT_TRUE(masks.get(name).defined());
}

RC_GTEST_PROP(NpyProperty, WhatIsWrittenIsRead, ()) {
  const auto type = *rc::gen::element(at::kHalf, at::kFloat, at::kDouble, at::kChar, at::kShort,
                                      at::kInt, at::kLong, at::kByte, at::kBool);
  const int axes = *rc::gen::inRange(0, 5);
  const auto shape =
      *rc::gen::container<std::vector<int64_t>>(axes, rc::gen::inRange<int64_t>(0, 5));
  const Tensor x = at::randint(0, 100, shape, at::kInt).to(type);
  const Tensor y = parse(npy_bytes(x));
  RC_ASSERT(y.scalar_type() == type);
  RC_ASSERT(y.equal(x));
}

RC_GTEST_PROP(NpyProperty, DamageNeverCrashes, ()) {
  std::string bytes = npy_bytes(at::arange(24).view({2, 3, 4}));
  bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size() + 1));
  for (int i = *rc::gen::inRange(0, 4); i > 0 && !bytes.empty(); --i)
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  try {
    parse(bytes);
  } catch (const Error&) {
  }
}

}  // namespace edm2
