// Memory and time of edm2 reconstruct, as a user runs it.
#include <ATen/ATen.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iostream>

#include "edm2/core/platform.h"
#include "edm2/ema/snapshot_name.h"
#include "edm2/ema/snapshots.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/safetensors.h"
#include "edm2/nn/state_layout.h"
#include "support/paths.h"
#include "support/run_program.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using test::run_edm2;
using test::RunResult;

constexpr double MB = 1e6;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// What the blocks under way may take (SumLimits), and some for the description of the network.
constexpr double most_memory = (128 + 64 + 40) * 1.05 * MB;

// What the program takes to start. To be asked before the test itself takes memory: a process
// counts that of the one it was forked from.
double memory_at_start() {
  return static_cast<double>(run_edm2({"reconstruct", "--help"}).peak_memory);
}

std::string snapshot_name(int64_t index, SnapshotFormat format) {
  return SnapshotName{"network-snapshot", kimg_from_nimg((index / 2 + 1) << 20),
                      index % 2 ? 0.1 : 0.05, format}
      .file_name();
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

// The next reader has to ask the disk.
void forget(const fs::path& folder) {
  for (const fs::path& path : files_in(folder)) {
    const int fd = ::open(path.c_str(), O_RDONLY);
    ASSERT_GE(fd, 0);
    ::fdatasync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
}

void read_all(const fs::path& folder) {
  std::vector<std::byte> buffer(4 << 20);
  for (const fs::path& path : files_in(folder)) {
    const RandomAccessFile file(path);
    const uint64_t size = fs::file_size(path);
    for (uint64_t at = 0; at < size; at += buffer.size())
      file.read_at(at, std::span(buffer).first(std::min<uint64_t>(buffer.size(), size - at)));
  }
}

// Files of those sizes, as durable as the program writes them.
void write_all(const fs::path& folder, const fs::path& like) {
  fs::create_directory(folder);
  const std::vector<std::byte> buffer(4 << 20, std::byte{42});
  for (const fs::path& path : files_in(like)) {
    AtomicFile file(folder / path.filename());
    for (uint64_t left = fs::file_size(path); left > 0;) {
      const auto part = std::min<uint64_t>(left, buffer.size());
      file.write(std::span(buffer).first(part));
      left -= part;
    }
    file.commit();
  }
}

}  // namespace

TEST(ReconstructResourcesCli, MemoryDependsNeitherOnSnapshotsNorOnNetwork) {
  // 96 snapshots of 16 MB; links, so that only two of them take space.
  const double start = memory_at_start();
  const test::TempDir dir;
  fs::create_directory(dir / "run");
  for (const int which : {0, 1})
    save_safetensors(dir / ("weights" + std::to_string(which)),
                     {{"weight", at::randn({8 << 20}).to(at::kHalf)}});
  for (int i = 0; i < 96; ++i)
    fs::create_symlink(dir / ("weights" + std::to_string(i % 2)),
                       dir / "run" / snapshot_name(i, SnapshotFormat::safetensors));
  const RunResult run = run_edm2({"reconstruct", "--indir", dir / "run", "--outdir", dir / "out",
                                  "--outstd=0.02,0.03,...,0.17", "--quiet"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(files_in(dir / "out").size(), 16u);
  const double memory = static_cast<double>(run.peak_memory) - start;
  RecordProperty("memory_in_MB", std::to_string(memory / MB));
  EXPECT_LT(memory, most_memory);
}

TEST(ReconstructResourcesLong, SixtyFourSnapshotsOfFiftyMillionParameters) {
  const double start = memory_at_start();
  const test::TempDir dir;
  NetworkOptions options;
  options.img_resolution = 64;
  options.label_dim = 1000;
  options.model_channels = 64;
  options.num_blocks = 6;
  Snapshot snapshot = test::random_snapshot(options);
  int64_t parameters = 0;
  for (const auto& [name, tensor] : snapshot.tensors) parameters += tensor.numel();
  ASSERT_GT(parameters, 50'000'000);
  ASSERT_LT(parameters, 58'000'000);
  fs::create_directory(dir / "run");
  for (int i = 0; i < 64; ++i) {
    for (auto& [name, tensor] : snapshot.tensors) tensor.mul_(-1);
    save_snapshot(dir / "run" / snapshot_name(i, SnapshotFormat::pickle), snapshot,
                  SnapshotFormat::pickle);
  }

  std::vector<double> ratios;
  for (int round = 0; round < 3; ++round) {
    forget(dir / "run");
    const double reading = seconds_of([&] { read_all(dir / "run"); });
    forget(dir / "run");
    RunResult run;
    const double all = seconds_of([&] {
      run = run_edm2({"reconstruct", "--indir", dir / "run", "--outdir", dir / "out",
                      "--outstd=0.03,0.06,...,0.24", "--quiet"});
    });
    ASSERT_EQ(run.exit_code, 0) << run.err;
    ASSERT_EQ(files_in(dir / "out").size(), 8u);
    const double writing = seconds_of([&] { write_all(dir / "copy", dir / "out"); });
    fs::remove_all(dir / "copy");
    fs::remove_all(dir / "out");
    ratios.push_back(all / (reading + writing));
    const double memory = static_cast<double>(run.peak_memory) - start;
    std::cout << parameters / 1'000'000 << " M parameters: reading " << reading << " s, writing "
              << writing << " s, reconstructing " << all << " s (ratio " << ratios.back()
              << "), memory " << memory / MB << " MB above the " << start / MB
              << " MB of a program that has just started\n";
    EXPECT_LT(memory, most_memory);
  }
  // The second network of a run in memory, against reading what the system holds of the files.
  Snapshots snapshots(dir / "run");
  snapshots.reconstruct(0.1);
  std::vector<double> again, reading_again;
  for (int round = 0; round < 3; ++round) {
    again.push_back(seconds_of([&] { snapshots.reconstruct(0.14 - 0.01 * round); }));
    reading_again.push_back(seconds_of([&] { read_all(dir / "run"); }));
    std::cout << "In memory: " << again.back()
              << " s, reading the files again: " << reading_again.back() << " s\n";
  }
  std::sort(again.begin(), again.end());
  std::sort(reading_again.begin(), reading_again.end());
  EXPECT_LT(again[1], reading_again[1]);

  std::sort(ratios.begin(), ratios.end());
  EXPECT_LT(ratios[1], 1.25);
}

}  // namespace edm2
