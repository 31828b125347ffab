#include "edm2/core/random.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <cmath>
#include <numeric>

namespace edm2 {
namespace {

// CPython's hash of an int: reduced modulo the Mersenne prime 2^61 - 1, with -1 mapped to -2.
uint64_t integer_hash(int64_t value) {
  constexpr uint64_t prime = (uint64_t{1} << 61) - 1;
  const uint64_t magnitude = value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : value;
  int64_t hash = static_cast<int64_t>(magnitude % prime);
  if (value < 0) hash = -hash;
  if (hash == -1) hash = -2;
  return static_cast<uint64_t>(hash);
}

uint64_t rotate_left(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

}  // namespace

uint64_t tuple_hash(std::initializer_list<int64_t> values) {
  // The xxHash-based combination of CPython's tupleobject.
  constexpr uint64_t prime1 = 11400714785074694791u;
  constexpr uint64_t prime2 = 14029467366897019727u;
  constexpr uint64_t prime5 = 2870177450012600261u;
  uint64_t acc = prime5;
  for (const int64_t value : values) {
    acc += integer_hash(value) * prime2;
    acc = rotate_left(acc, 31) * prime1;
  }
  acc += values.size() ^ (prime5 ^ 3527539u);
  return acc == ~uint64_t{0} ? 1546275796u : acc;
}

int64_t seed_from_tuple(std::initializer_list<int64_t> values) {
  return static_cast<int64_t>(tuple_hash(values) & 0x7fffffffu);
}

void set_seed(std::initializer_list<int64_t> values) {
  at::manual_seed(static_cast<uint64_t>(seed_from_tuple(values)));
}

uint64_t NumpyRandom::bounded(uint64_t max) {
  uint64_t mask = max;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  for (;;) {
    uint64_t draw = engine_();
    if (max > 0xffffffffu) draw = (draw << 32) | engine_();
    draw &= mask;
    if (draw <= max) return draw;
  }
}

void NumpyRandom::shuffle(std::vector<int64_t>& values) {
  if (values.empty()) return;
  for (size_t i = values.size() - 1; i > 0; --i) std::swap(values[i], values[bounded(i)]);
}

std::vector<int64_t> NumpyRandom::permutation(int64_t count) {
  std::vector<int64_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), int64_t{0});
  shuffle(values);
  return values;
}

double NumpyRandom::uniform() {
  const uint32_t high = engine_() >> 5;
  const uint32_t low = engine_() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

double NumpyRandom::normal() {
  if (spare_normal_) {
    const double value = *spare_normal_;
    spare_normal_.reset();
    return value;
  }
  double x1, x2, r2;
  do {
    x1 = 2.0 * uniform() - 1.0;
    x2 = 2.0 * uniform() - 1.0;
    r2 = x1 * x1 + x2 * x2;
  } while (r2 >= 1.0 || r2 == 0.0);
  const double scale = std::sqrt(-2.0 * std::log(r2) / r2);
  spare_normal_ = scale * x1;
  return scale * x2;
}

StackedGenerator::StackedGenerator(at::Device device, std::span<const int64_t> seeds)
    : device_(device) {
  generators_.reserve(seeds.size());
  for (const int64_t seed : seeds) {
    at::Generator generator = device.is_cpu()
                                  ? at::detail::createCPUGenerator()
                                  : at::globalContext().defaultGenerator(device).clone();
    generator.set_current_seed(static_cast<uint64_t>(seed) & 0xffffffffu);
    generators_.push_back(std::move(generator));
  }
}

Tensor StackedGenerator::randn(at::IntArrayRef shape_per_image, at::ScalarType dtype) {
  std::vector<Tensor> draws;
  draws.reserve(generators_.size());
  const auto options = at::TensorOptions().dtype(dtype).device(device_);
  for (auto& generator : generators_)
    draws.push_back(at::randn(shape_per_image, generator, options));
  return at::stack(draws);
}

Tensor StackedGenerator::randn_like(const Tensor& x) {
  TORCH_CHECK(x.size(0) == static_cast<int64_t>(size()), "[randn_like] one image per seed");
  return randn(x.sizes().slice(1), x.scalar_type());
}

Tensor StackedGenerator::bernoulli_like(const Tensor& x, double p) {
  TORCH_CHECK(x.size(0) == static_cast<int64_t>(size()), "[bernoulli_like] one image per seed");
  Tensor draws = at::empty_like(x);
  for (size_t i = 0; i < size(); ++i) draws[static_cast<int64_t>(i)].bernoulli_(p, generators_[i]);
  return draws;
}

Tensor StackedGenerator::randint(int64_t high, at::IntArrayRef shape_per_image) {
  std::vector<Tensor> draws;
  draws.reserve(generators_.size());
  const auto options = at::TensorOptions().dtype(at::kLong).device(device_);
  for (auto& generator : generators_)
    draws.push_back(at::randint(high, shape_per_image, generator, options));
  return at::stack(draws);
}

}  // namespace edm2
