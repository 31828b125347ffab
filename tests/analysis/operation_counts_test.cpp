#include "edm2/analysis/operation_counts.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "edm2/analysis/machine_speed.h"
#include "edm2/core/error.h"
#include "edm2/generate/presets.h"
#include "edm2/io/atomic_file.h"
#include "edm2/nn/network.h"
#include "support/paths.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

NetworkOptions preset(int64_t channels, int64_t img_channels, int64_t label_dim = 1000) {
  NetworkOptions options;
  options.img_channels = img_channels;
  options.label_dim = label_dim;
  options.model_channels = channels;
  return options;
}

double total_flops(const NetworkOptions& options) {
  double flops = 0;
  for (const auto& total : totals_by_name(trace_forward_pass(options).operations))
    flops += total.flops;
  return flops;
}

TEST(OperationCounts, PresetsHaveTheKnownTotals) {
  const std::tuple<NetworkOptions, int64_t, double> known[] = {
      {preset(64, 4), 31309029, 11525215924},       {preset(128, 4), 124713253, 45497836276},
      {preset(192, 4), 280212837, 101917945652},    {preset(256, 4), 497807781, 180785544052},
      {preset(320, 4), 777498085, 282100631476},    {preset(384, 4), 1119283749, 405863207924},
      {preset(448, 4), 1523164773, 552073273396},   {preset(128, 4, 0), 124201253, 45495785226},
      {preset(192, 4, 0), 279444837, 101914869578}, {preset(128, 3), 124710949, 45488375795},
      {preset(192, 3), 280209381, 101903763123},    {preset(256, 3), 497803173, 180766639475},
      {preset(320, 3), 777492325, 282077004851},    {preset(384, 3), 1119276837, 405834859251}};
  for (const auto& [options, parameters, flops] : known) {
    EXPECT_EQ(count_parameters(options), parameters);
    EXPECT_EQ(total_flops(options), flops) << options.model_channels;
  }
  NetworkOptions tiny;
  tiny.img_resolution = 8;
  tiny.label_dim = 4;
  tiny.model_channels = 64;
  tiny.channel_mult = {1, 1};
  tiny.num_blocks = 1;
  EXPECT_EQ(count_parameters(tiny), 1032523);
  EXPECT_EQ(total_flops(tiny), 42161936);
}

TEST(OperationCounts, WhatDependsOnTheBatch) {
  const NetworkOptions options = test::tiny_options(3);
  const ForwardPass one = trace_forward_pass(options), four = trace_forward_pass(options, {4});
  ASSERT_EQ(one.operations.size(), four.operations.size());
  for (size_t i = 0; i < one.operations.size(); ++i) {
    const Operation &a = one.operations[i], &b = four.operations[i];
    if (a.on_weights) {
      EXPECT_EQ(a.flops, b.flops);
      EXPECT_EQ(a.bytes, b.bytes);
    } else if (a.work != Operation::Work::elements) {
      EXPECT_EQ(4 * a.flops, b.flops) << a.name << a.layer;
    }
  }
  EXPECT_EQ(4 * one.peak_activations, four.peak_activations);
  EXPECT_GT(one.peak_memory, one.peak_activations);
  const ForwardPass half = trace_forward_pass(options, {.activation_bytes = 2});
  EXPECT_LT(half.peak_activations, one.peak_activations);
  EXPECT_GT(2.2 * static_cast<double>(half.peak_activations),
            static_cast<double>(one.peak_activations));
}

TEST(OperationCounts, LayersAddUp) {
  const auto operations = trace_forward_pass(test::tiny_options(3)).operations;
  double by_name = 0, by_layer = 0;
  for (const auto& total : totals_by_name(operations)) by_name += total.flops;
  const auto layers = totals_by_layer(operations);
  for (const auto& total : layers) by_layer += total.flops;
  EXPECT_EQ(by_name, by_layer);
  EXPECT_EQ(layers.front().name, "");
  EXPECT_EQ(layers.back().name, "unet.out_conv");
  // The last convolution: 16 channels to 3, 8x8 pixels, and the preparation of its 432 weights.
  EXPECT_EQ(layers.back().flops, 64 * 3 * 16 * 9 + 3 * 432 + 3 + 1);
  NetworkOptions wrong = test::tiny_options(3);
  wrong.num_blocks = 0;
  EXPECT_THROW(trace_forward_pass(wrong), Error);
}

// ---- Memory, compared with what libtorch's allocator really hands out

// Takes libtorch's place for memory on the CPU while it lives.
class CountingAllocator : public c10::Allocator {
 public:
  CountingAllocator() : usual_(c10::GetCPUAllocator()) {
    live = peak = 0;
    c10::SetCPUAllocator(this, /*priority=*/100);
  }
  ~CountingAllocator() override { c10::SetCPUAllocator(usual_, /*priority=*/100); }

  c10::DataPtr allocate(size_t bytes) override {
    void* pointer = std::aligned_alloc(header, header + (bytes + header - 1) / header * header);
    std::memcpy(pointer, &bytes, sizeof bytes);
    live += static_cast<int64_t>(bytes);
    peak = std::max<int64_t>(peak, live);
    pointer = static_cast<std::byte*>(pointer) + header;
    return {pointer, pointer, &release, c10::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  static std::atomic<int64_t> live, peak;

 private:
  static constexpr size_t header = 64;
  static void release(void* pointer) {
    pointer = static_cast<std::byte*>(pointer) - header;
    size_t bytes = 0;
    std::memcpy(&bytes, pointer, sizeof bytes);
    live -= static_cast<int64_t>(bytes);
    std::free(pointer);
  }
  c10::Allocator* usual_;
};
std::atomic<int64_t> CountingAllocator::live = 0, CountingAllocator::peak = 0;

TEST(OperationCounts, PeakMemoryIsThatOfTheNetwork) {
  for (const int64_t batch : {2, 8}) {
    NetworkOptions options = test::tiny_options(3, 32, 32);
    options.attn_resolutions = {16};
    Precond network(test::random_snapshot(options));
    const Tensor x = at::randn({batch, 3, 32, 32}), sigma = at::ones({batch}),
                 labels = at::zeros({batch, 3});
    network.denoise(x, sigma, labels);  // kernels prepare themselves in the first run
    double measured = 0;
    {
      const CountingAllocator counter;
      network.denoise(x, sigma, labels);
      measured = static_cast<double>(CountingAllocator::peak);
    }
    const auto traced =
        static_cast<double>(trace_forward_pass(options, {.batch = batch}).peak_memory);
    EXPECT_GT(measured, 0);
    EXPECT_NEAR(traced / measured, 1, 0.15) << traced << ' ' << measured;
  }
}

// ---- Speed

TEST(MachineSpeed, EstimatesAddUp) {
  const std::vector<Operation> operations = {
      {"aten::_convolution", "a", Operation::Work::convolution, false, 32, 6e9, 1e3},
      {"aten::silu", "a", Operation::Work::elements, false, 32, 3e3, 2e9},
      {"aten::_convolution", "b", Operation::Work::convolution, false, 8, 1e9, 1e3},
      {"aten::mul", "b", Operation::Work::elements, true, 0, 1e3, 4e9},
      {"aten::matmul", "c", Operation::Work::matrix_product, false, 0, 1e3, 1e9}};
  const MachineSpeed machine = {{{32, 2e9, 1e9}, {8, 1e9, 4e9}}, 8e9};
  EXPECT_DOUBLE_EQ(estimate_seconds(operations, machine), 3 + 2 + 1 + 0.5 + 0.125);
}

TEST(MachineSpeed, IsMeasured) {
  const MachineSpeed machine =
      measure_machine(test::tiny_options(3, 16, 16), 1, at::kFloat, c10::kCPU);
  ASSERT_EQ(machine.levels.size(), 2u);
  EXPECT_EQ(machine.levels[0].resolution, 16);
  EXPECT_EQ(machine.levels[1].resolution, 8);
  for (const auto& level : machine.levels) {
    EXPECT_GT(level.flops_per_second, 1e6);
    EXPECT_LT(level.flops_per_second, 1e15);
    EXPECT_GT(level.bytes_per_second, 1e6);
    EXPECT_LT(level.bytes_per_second, 1e15);
  }
  EXPECT_GT(machine.weight_bytes_per_second, 1e6);
}

// ---- The original's tables

using Table = std::map<std::string, std::vector<std::string>>;

// The reports of flops.txt by their headings.
Table read_reports(const fs::path& path) {
  Table reports;
  std::istringstream lines(read_text_file(path));
  std::string name;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("===== "))
      name = line.substr(6);
    else if (!name.empty() && !line.empty())
      reports[name].push_back(line);
  }
  return reports;
}

NetworkOptions options_for(const std::string& name) {
  if (name.ends_with(".pkl"))
    return load_snapshot(test::reference_dir() / "denoiser" / name).network;
  nlohmann::json json = nlohmann::json::object();
  std::istringstream words(name);
  for (std::string word; words >> word;)
    if (const size_t at = word.find('='); at != std::string::npos)
      json[word.substr(0, at)] = std::stoll(word.substr(at + 1));
  return network_options_from_json(json);
}

TEST(OperationCountsGolden, EveryClassOfEveryNetwork) {
  EDM2_REQUIRE_REFERENCE();
  const auto reference =
      nlohmann::json::parse(read_text_file(test::reference_dir() / "flops" / "flops.json"));
  EXPECT_EQ(reference.size(), 6u);
  for (const auto& [name, expected] : reference.items()) {
    const NetworkOptions options = options_for(name);
    EXPECT_EQ(count_parameters(options), expected.at("total_params").get<int64_t>()) << name;
    std::map<std::string, int64_t> counts;
    std::map<std::string, double> flops;
    double total = 0;
    for (const auto& entry : totals_by_name(trace_forward_pass(options).operations)) {
      total += entry.flops;
      flops[entry.name] = entry.flops;
      counts[entry.name] = entry.count;
    }
    EXPECT_EQ(total, expected.at("total_flops").get<double>()) << name;
    EXPECT_EQ(flops, (expected.at("op_flops").get<std::map<std::string, double>>())) << name;
    // "Other" counts nodes of Python's tracer.
    auto expected_counts = expected.at("op_count").get<std::map<std::string, int64_t>>();
    EXPECT_TRUE(counts.erase("Other") && expected_counts.erase("Other"));
    EXPECT_EQ(counts, expected_counts) << name;
  }
}

TEST(OperationCountsGolden, TheReportLineByLine) {
  EDM2_REQUIRE_REFERENCE();
  const Table reports = read_reports(test::reference_dir() / "flops" / "flops.txt");
  EXPECT_EQ(reports.size(), 6u);
  for (const auto& [name, expected] : reports) {
    std::vector<std::string> ours;
    std::istringstream lines(flops_report(options_for(name)));
    for (std::string line; std::getline(lines, line);)
      if (!line.empty()) ours.push_back(line);
    ASSERT_EQ(ours.size(), expected.size()) << name;
    for (size_t i = 0; i < ours.size(); ++i) {
      if (ours[i].starts_with("GPU memory")) {  // the original measures it on a GPU
        EXPECT_TRUE(expected[i].starts_with("GPU memory"));
      } else if (ours[i].starts_with("Other ") || ours[i].starts_with("Total ")) {
        // All but the count, which is that of Python's tracer there.
        EXPECT_EQ(ours[i].substr(0, 26), expected[i].substr(0, 26));
        EXPECT_EQ(ours[i].substr(33), expected[i].substr(33)) << name;
      } else {
        EXPECT_EQ(ours[i], expected[i]) << name;
      }
    }
  }
}

}  // namespace
}  // namespace edm2
