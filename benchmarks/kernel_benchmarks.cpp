// Speed of the engine's element-wise kernels, for every instruction set of this processor. Each is
// compared with plain code first, and not timed if it is wrong.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "edm2/core/cpu.h"
#include "engine/inference_kernels.h"

namespace {

using edm2::CpuLevel;
using edm2::inference_kernels::ActivationKernels;
using edm2::inference_kernels::Kernels;
using Values = std::vector<float>;

constexpr float no_limit = std::numeric_limits<float>::infinity();

Values normal_values(int64_t size, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  Values values(static_cast<size_t>(size));
  std::generate(values.begin(), values.end(), [&] { return normal(engine); });
  return values;
}

float silu_of(float x) { return x / (1 + std::exp(-x)); }

/// An image of the network: pixels times channels.
struct Shape {
  int64_t pixels, channels;
  int64_t size() const { return pixels * channels; }
};

/// One kernel on one shape: what it computes, and how it is computed in the plainest way.
struct Case {
  std::string name;
  int64_t bytes;  // read and written
  std::function<void(const ActivationKernels<float>&)> run;
  std::function<double()> error;  // after run
};

double largest_difference(const Values& a, const Values& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    most = std::max(most, static_cast<double>(std::abs(a[i] - b[i])));
  return most;
}

std::vector<Case> cases_of(const Shape& shape) {
  struct Data {
    Values x, c, kept, activated, expected;
  };
  const auto data = std::make_shared<Data>();
  data->x = normal_values(shape.size(), 1);
  data->c = normal_values(shape.channels, 2);
  data->kept = data->activated = data->expected = data->x;
  const auto n = static_cast<int64_t>(sizeof(float)) * shape.size();
  const auto channels = static_cast<size_t>(shape.channels);
  const auto error_of = [data](auto value) {
    return [data, value] {
      for (size_t i = 0; i < data->x.size(); ++i) data->expected[i] = value(i);
      return largest_difference(data->activated, data->expected);
    };
  };
  std::vector<Case> cases;
  cases.push_back({"silu", 2 * n,
                   [=](const auto& k) {
                     k.silu(data->x.data(), shape.size(), no_limit, 1, nullptr,
                            data->activated.data());
                   },
                   error_of([data](size_t i) { return silu_of(data->x[i]); })});
  cases.push_back({"modulated_silu", 2 * n,
                   [=](const auto& k) {
                     k.modulated_silu(data->x.data(), data->c.data(), shape.pixels, shape.channels,
                                      data->activated.data());
                   },
                   error_of([data, channels](size_t i) {
                     return silu_of(data->x[i] * data->c[i % channels]);
                   })});
  cases.push_back({"pixel_norm_silu", 3 * n,
                   [=](const auto& k) {
                     k.pixel_norm_silu(data->x.data(), shape.pixels, shape.channels, no_limit, 1,
                                       data->kept.data(), data->activated.data());
                   },
                   error_of([data, channels](size_t i) {
                     const size_t first = i / channels * channels;
                     double squares = 0;
                     for (size_t j = first; j < first + channels; ++j)
                       squares += static_cast<double>(data->x[j]) * data->x[j];
                     const double norm = 1e-4 + std::sqrt(squares / static_cast<double>(channels));
                     return silu_of(static_cast<float>(data->x[i] / norm));
                   })});
  return cases;
}

void add(const std::string& set, const Kernels& kernels, const Shape& shape) {
  for (const Case& c : cases_of(shape)) {
    const std::string name = c.name + "/" + set + "/" + std::to_string(shape.pixels) + "x" +
                             std::to_string(shape.channels);
    c.run(kernels.f32);
    if (const double error = c.error(); !(error < 1e-5)) {
      std::fprintf(stderr, "%s is wrong: %g from the plain computation\n", name.c_str(), error);
      std::exit(1);
    }
    benchmark::RegisterBenchmark(name.c_str(), [c, &kernels](benchmark::State& state) {
      for (auto _ : state) {
        c.run(kernels.f32);
        benchmark::ClobberMemory();
      }
      state.SetBytesProcessed(c.bytes * static_cast<int64_t>(state.iterations()));
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace edm2::inference_kernels;
  for (const Shape shape : {Shape{64 * 64, 128}, Shape{32 * 32, 256}, Shape{8 * 8, 512}}) {
    add("portable", portable(), shape);
    if (edm2::highest_cpu_level() >= CpuLevel::avx2) add("avx2", avx2(), shape);
    if (edm2::highest_cpu_level() >= CpuLevel::avx512) add("avx512", avx512(), shape);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
