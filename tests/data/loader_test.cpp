#include "edm2/data/loader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "support/paths.h"

namespace edm2 {
namespace {

/// `count` arrays [1,2,2] filled with their number.
void make_folder(const test::TempDir& dir, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string name = std::to_string(100 + i) + ".npy";
    write_file(dir / name, npy_bytes(at::full({1, 2, 2}, i, at::kByte)));
  }
}

}  // namespace

TEST(PrefetchLoader, KeepsTheOrderOfTheSampler) {
  const test::TempDir dir;
  make_folder(dir, 10);
  const ImageDataset dataset({.path = dir.path(), .cache_bytes = 20});
  for (const int threads : {1, 2, 7}) {
    InfiniteSampler order(10, 0, 1, 5, 3);
    PrefetchLoader loader(dataset, InfiniteSampler(10, 0, 1, 5, 3), 3, threads, 4);
    for (int batch = 0; batch < 50; ++batch) {
      const auto [images, labels, indices] = loader.next();
      ASSERT_EQ(images.sizes(), (std::vector<int64_t>{3, 1, 2, 2}));
      ASSERT_EQ(labels.sizes(), (std::vector<int64_t>{3, 0}));
      for (int64_t i = 0; i < 3; ++i) {
        ASSERT_EQ(indices[static_cast<size_t>(i)], order.next());
        ASSERT_EQ(images[i][0][1][1].item<int64_t>(), indices[static_cast<size_t>(i)]);
      }
    }
  }
}

TEST(PrefetchLoader, StopsWithoutBeingRead) {
  const test::TempDir dir;
  make_folder(dir, 3);
  const ImageDataset dataset({.path = dir.path()});
  for (int i = 0; i < 20; ++i) PrefetchLoader(dataset, InfiniteSampler(3), 2, 3);
}

TEST(PrefetchLoader, PassesErrorsOn) {
  const test::TempDir dir;
  make_folder(dir, 3);
  const ImageDataset dataset({.path = dir.path()});
  write_file(dir / "101.npy", std::string_view("broken"));
  PrefetchLoader loader(dataset, InfiniteSampler(3), 3);
  try {
    loader.next();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("101.npy"), std::string::npos) << error.what();
  }
}

TEST(PrefetchLoaderGolden, DrawsTheIndicesOfTheReferenceRuns) {
  EDM2_REQUIRE_REFERENCE();
  const auto training = test::reference_dir() / "training";
  for (const std::string run : {"main", "accum", "dropout", "uncond_xflip"}) {
    const auto options =
        nlohmann::json::parse(read_text_file(training / run / "training_options.json"));
    const auto& kwargs = options["dataset_kwargs"];
    ImageDatasetOptions dataset_options{.path = training / "digits16.zip"};
    dataset_options.use_labels = kwargs.value("use_labels", true);
    dataset_options.xflip = kwargs.value("xflip", false);
    if (kwargs.contains("max_size")) dataset_options.max_size = kwargs["max_size"].get<int64_t>();
    const ImageDataset dataset(dataset_options);

    const Tensor expected = NpzFile(training / run / "per_step.npz").get("indices").flatten();
    PrefetchLoader loader(dataset, InfiniteSampler(dataset.size(), 0, 1, options.value("seed", 0)),
                          8);
    std::vector<int64_t> drawn;
    while (static_cast<int64_t>(drawn.size()) < expected.numel())
      for (const int64_t index : loader.next().indices) drawn.push_back(index);
    EXPECT_TRUE(at::tensor(drawn, at::kLong).slice(0, 0, expected.numel()).equal(expected)) << run;
  }
}

}  // namespace edm2
