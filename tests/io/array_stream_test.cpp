// Files of arrays that grow row by row.
#include "edm2/io/array_stream.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "support/paths.h"
#include "support/run_program.h"

namespace edm2 {
namespace {
namespace fs = std::filesystem;

const std::vector<ArraySpec> specs = {
    {"images", at::kByte, {7, 2, 3}}, {"seeds", at::kLong, {7}}, {"latents", at::kFloat, {7, 4}}};

std::vector<Tensor> contents() {
  return {at::randint(0, 256, {7, 2, 3}, at::kByte), at::arange(7, at::kLong), at::randn({7, 4})};
}

/// In parts of 3, 3 and 1 rows, the arrays by turns.
void fill(ArrayStream& stream, const std::vector<Tensor>& arrays) {
  for (int64_t begin = 0; begin < 7; begin += 3)
    for (size_t i = 0; i < arrays.size(); ++i)
      stream.append(specs[i].name, arrays[i].narrow(0, begin, std::min<int64_t>(3, 7 - begin)));
  stream.finish();
}

bool nothing_but(const fs::path& folder, size_t files) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {})) == files;
}

}  // namespace

TEST(ArrayStream, NpzEqualsTheOneWrittenAtOnce) {
  const test::TempDir dir;
  const auto arrays = contents();
  fill(*stream_npz(dir / "stream.npz", specs), arrays);
  write_npz(dir / "whole.npz",
            {{"images", arrays[0]}, {"seeds", arrays[1]}, {"latents", arrays[2]}});
  EXPECT_EQ(test::read_file(dir / "stream.npz"), test::read_file(dir / "whole.npz"));
  const NpzFile file(dir / "stream.npz");  // checks CRCs
  for (size_t i = 0; i < specs.size(); ++i)
    EXPECT_TRUE(file.get(specs[i].name).equal(arrays[i])) << specs[i].name;
}

TEST(ArrayStream, SafetensorsEqualTheOnesWrittenAtOnce) {
  const test::TempDir dir;
  const auto arrays = contents();
  fill(*stream_safetensors(dir / "stream.safetensors", specs, {{"a", "b"}}), arrays);
  save_safetensors(dir / "whole.safetensors",
                   {{"images", arrays[0]}, {"seeds", arrays[1]}, {"latents", arrays[2]}},
                   {{"a", "b"}});
  EXPECT_EQ(test::read_file(dir / "stream.safetensors"),
            test::read_file(dir / "whole.safetensors"));
  EXPECT_EQ(load_safetensors(dir / "stream.safetensors").metadata.at("a"), "b");
}

TEST(ArrayStream, RefusesRowsThatDoNotFit) {
  const test::TempDir dir;
  for (const bool npz : {true, false}) {
    const auto stream =
        npz ? stream_npz(dir / "x.npz", specs) : stream_safetensors(dir / "x.safetensors", specs);
    EXPECT_THROW(stream->append("nothing", at::zeros({1, 4})), Error);
    EXPECT_THROW(stream->append("latents", at::zeros({1, 5})), Error);
    EXPECT_THROW(stream->append("latents", at::zeros({1, 4}, at::kDouble)), Error);
    EXPECT_THROW(stream->append("latents", at::zeros({8, 4})), Error);
    stream->append("latents", at::zeros({7, 4}));
    EXPECT_THROW(stream->append("latents", at::zeros({1, 4})), Error);
    EXPECT_THROW(stream->finish(), Error);  // the other arrays are missing
  }
  EXPECT_TRUE(nothing_but(dir.path(), 0));
  EXPECT_THROW(stream_npz(dir / "x.npz", {{"x", at::kFloat, {int64_t{1} << 40, int64_t{1} << 40}}}),
               Error);
}

TEST(ArrayStreamLong, HoldsMoreThanFourGigabytes) {
  const test::TempDir dir;
  constexpr int64_t rows = 65, row = int64_t{64} << 20;  // 4.06 GiB, so the archive needs zip64
  const auto stream =
      stream_npz(dir / "large.npz", {{"large", at::kByte, {rows, row}}, {"b", at::kLong, {rows}}});
  const Tensor part = at::randint(0, 256, {1, row}, at::kByte);
  const uint64_t before = resident_memory();
  for (int64_t i = 0; i < rows; ++i) {
    stream->append("large", part);
    stream->append("b", at::full({1}, i, at::kLong));
  }
  stream->finish();
  EXPECT_LT(resident_memory(), before + (uint64_t{256} << 20));
  const NpzFile file(dir / "large.npz");
  EXPECT_TRUE(file.get("b").equal(at::arange(rows, at::kLong)));
  const Tensor large = file.get("large");  // checks the CRC
  EXPECT_EQ(large.sizes(), at::IntArrayRef({rows, row}));
  EXPECT_TRUE(large[rows - 1].equal(part[0]));
}

}  // namespace edm2
