/// Seeds and random streams that equal Python's, numpy's and torch's bit for bit.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Hash of a tuple of integers as CPython (>= 3.8, 64 bit) computes it, as unsigned 64 bits.
uint64_t tuple_hash(std::initializer_list<int64_t> values);

/// tuple_hash reduced to [0, 2^31): the seed that the original derives from (seed, rank, ...).
int64_t seed_from_tuple(std::initializer_list<int64_t> values);

/// Seeds libtorch's default generators (CPU, and CUDA if it is in use) with
/// seed_from_tuple(values).
void set_seed(std::initializer_list<int64_t> values);

/// numpy.random.RandomState: MT19937 with numpy's shuffle, uniform and normal draws.
class NumpyRandom {
 public:
  /// seed in [0, 2^32).
  explicit NumpyRandom(uint32_t seed) : engine_(seed) {}

  /// Fisher-Yates from the end with masked rejection, as RandomState.shuffle.
  void shuffle(std::vector<int64_t>& values);
  /// 0, 1, ... count - 1, shuffled.
  std::vector<int64_t> permutation(int64_t count);
  /// Uniform in [0, 1) with 53 random bits.
  double uniform();
  /// Standard normal by the polar method; every second call returns the spare value.
  double normal();

 private:
  /// Uniform in [0, max].
  uint64_t bounded(uint64_t max);

  std::mt19937 engine_;
  std::optional<double> spare_normal_;
};

/// Standard normal numbers of the shape and type of `like`.
using DrawNormal = std::function<Tensor(const Tensor& like)>;

/// One torch generator per image, so that an image depends on its seed alone and not on the batch
/// it is drawn in. Draws on the CPU and on CUDA differ (mt19937 and Philox).
class StackedGenerator {
 public:
  /// Seeds are taken modulo 2^32 (never negative).
  StackedGenerator(at::Device device, std::span<const int64_t> seeds);

  size_t size() const { return generators_.size(); }

  /// Standard normal [N, shape...], N = number of seeds, float32 unless `dtype` says otherwise.
  Tensor randn(at::IntArrayRef shape_per_image, at::ScalarType dtype = at::kFloat);
  /// Standard normal of x's shape and dtype; x: [N, ...].
  Tensor randn_like(const Tensor& x);
  /// Ones with probability p, else zeros, of x's shape and dtype; x: [N, ...].
  Tensor bernoulli_like(const Tensor& x, double p);
  /// Integers in [0, high), int64 [N, shape...].
  Tensor randint(int64_t high, at::IntArrayRef shape_per_image = {});

 private:
  at::Device device_;
  std::vector<at::Generator> generators_;
};

}  // namespace edm2
