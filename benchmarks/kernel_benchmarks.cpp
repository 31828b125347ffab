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
  std::function<void(const Kernels&)> run;
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
                     k.f32.silu(data->x.data(), shape.size(), no_limit, 1, nullptr,
                                data->activated.data());
                   },
                   error_of([data](size_t i) { return silu_of(data->x[i]); })});
  cases.push_back({"modulated_silu", 2 * n,
                   [=](const auto& k) {
                     k.f32.modulated_silu(data->x.data(), data->c.data(), shape.pixels,
                                          shape.channels, data->activated.data());
                   },
                   error_of([data, channels](size_t i) {
                     return silu_of(data->x[i] * data->c[i % channels]);
                   })});
  cases.push_back({"pixel_norm_silu", 3 * n,
                   [=](const auto& k) {
                     k.f32.pixel_norm_silu(data->x.data(), shape.pixels, shape.channels, no_limit,
                                           1, data->kept.data(), data->activated.data());
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

float plain_value(edm2::Half x) {
  const int exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(fraction), -24)
                              : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return x.bits >> 15 != 0 ? -magnitude : magnitude;
}
float plain_value(int8_t x) { return x; }

/// Weights of a convolution in blocks of outputs: `shape.pixels` rows of one block.
template <class T, class Expand>
Case expansion(const std::string& name, const Shape& shape, const std::vector<T>& some,
               const Expand& expand) {
  struct Data {
    std::vector<T> compact;
    Values factors, out;
  };
  const auto data = std::make_shared<Data>();
  for (int64_t i = 0; i < shape.size(); ++i)
    data->compact.push_back(some[static_cast<size_t>(i) % some.size()]);
  data->factors = normal_values(shape.channels, 3);
  data->out.resize(data->compact.size());
  return {name, static_cast<int64_t>(sizeof(T) + sizeof(float)) * shape.size(),
          [=](const auto& k) {
            (k.*expand)(data->compact.data(), shape.pixels, shape.channels, data->factors.data(),
                        data->out.data());
          },
          [=] {
            Values expected;
            for (size_t i = 0; i < data->compact.size(); ++i)
              expected.push_back(plain_value(data->compact[i]) *
                                 data->factors[i % data->factors.size()]);
            return largest_difference(data->out, expected);
          }};
}

std::vector<Case> cases_of_weights(const Shape& shape) {
  std::vector<edm2::Half> halves;  // from -2 to 2
  std::vector<int8_t> bytes;
  for (int i = 0; i < 0x4000; i += 7)
    for (const int sign : {0, 0x8000}) halves.push_back({static_cast<uint16_t>(i | sign)});
  for (int i = -128; i < 128; ++i) bytes.push_back(static_cast<int8_t>(i));
  return {expansion("expand_half", shape, halves, &Kernels::expand_half),
          expansion("expand_int8", shape, bytes, &Kernels::expand_int8)};
}

void add(const std::string& set, const Kernels& kernels, const Shape& shape,
         const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const std::string name = c.name + "/" + set + "/" + std::to_string(shape.pixels) + "x" +
                             std::to_string(shape.channels);
    c.run(kernels);
    if (const double error = c.error(); !(error < 1e-5)) {
      std::fprintf(stderr, "%s is wrong: %g from the plain computation\n", name.c_str(), error);
      std::exit(1);
    }
    benchmark::RegisterBenchmark(name.c_str(), [c, &kernels](benchmark::State& state) {
      for (auto _ : state) {
        c.run(kernels);
        benchmark::ClobberMemory();
      }
      state.SetBytesProcessed(c.bytes * static_cast<int64_t>(state.iterations()));
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace edm2::inference_kernels;
  const auto add_for_all_sets = [](const Shape& shape, const std::vector<Case>& cases) {
    add("portable", portable(), shape, cases);
    if (edm2::highest_cpu_level() >= CpuLevel::avx2) add("avx2", avx2(), shape, cases);
    if (edm2::highest_cpu_level() >= CpuLevel::avx512) add("avx512", avx512(), shape, cases);
  };
  for (const Shape shape : {Shape{64 * 64, 128}, Shape{32 * 32, 256}, Shape{8 * 8, 512}})
    add_for_all_sets(shape, cases_of(shape));
  for (const Shape shape : {Shape{512 * 9, 24}, Shape{512 * 9, 64}})  // a block of 3x3 kernels
    add_for_all_sets(shape, cases_of_weights(shape));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
