// The passes over memory between the convolutions of the engine on CUDA: what they take, and what
// one group of threads does for one pixel. Written once for CUDA's threads and for the host, where
// the same code runs pixel by pixel with a group of one, so that it can be tested without a GPU.
// Activations are in channels-last order, `pixels` times `channels` elements of one of three types.
// Clipping and factors are as in engine/inference_kernels.h. No torch headers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/bf16.h"

#ifdef __CUDACC__
#define EDM2_ANYWHERE __host__ __device__ __forceinline__
#else
#define EDM2_ANYWHERE inline
#endif

namespace edm2::cuda_passes {

enum class ElementType : int32_t { f32, f16, bf16 };

// ---- what the passes take ----

/// normalized = x / (1e-4 + RMS over the channels); kept = keep normalized, activated =
/// silu(normalized).
struct PixelNormSilu {
  const void* x;
  int64_t pixels, channels;
  float limit, keep;
  void *kept, *activated;
};
/// joined = [weight_a a, weight_b b] along the channels; kept = keep joined, activated =
/// silu(joined). channels_b may be 0.
struct CatSilu {
  const void *a, *b;
  int64_t pixels, channels_a, channels_b;
  float limit_a, limit_b, weight_a, weight_b, keep;
  void *kept, *activated;
};
/// y = silu(y c) in place; c[channels] float32 of image i begins at c + i * c_stride.
struct ModulatedSilu {
  void* y;
  const float* c;
  int64_t pixels, channels, pixels_per_image, c_stride;
};
/// out = scale times the sum of 2x2 pixels of x; pixels, rows and columns are those of out. Rows of
/// all images follow each other.
struct Sum2x2 {
  const void* x;
  int64_t pixels, columns, channels;
  float limit, scale;
  void* out;
};
/// Each of `pixels` pixels of x, four times.
struct Spread2x2 {
  const void* x;
  int64_t pixels, columns, channels;
  float limit;
  void* out;
};
/// x += y.
struct Add {
  void* x;
  const void* y;
  int64_t pixels, channels;
};
/// In place.
struct Clip {
  void* x;
  int64_t pixels, channels;
  float limit;
};
/// qkv[pixels, 3, heads, depth], in place: each vector over the depth normalised, those of the keys
/// times k_scale. One item of work is a vector.
struct NormalizeQkv {
  void* qkv;
  int64_t pixels, heads, depth;
  float k_scale;
};

/// How much work there is, and whether `width` elements can be read together.
EDM2_ANYWHERE int64_t items(const NormalizeQkv& a) { return a.pixels * 3 * a.heads; }
template <class Pass>
EDM2_ANYWHERE int64_t items(const Pass& a) {
  return a.pixels;
}
EDM2_ANYWHERE bool divisible(const CatSilu& a, int64_t width) {
  return a.channels_a % width == 0 && a.channels_b % width == 0;
}
EDM2_ANYWHERE bool divisible(const NormalizeQkv& a, int64_t width) { return a.depth % width == 0; }
template <class Pass>
EDM2_ANYWHERE bool divisible(const Pass& a, int64_t width) {
  return a.channels % width == 0;
}

/// The passes on one kind of machine. `stream`: CUDA's, none elsewhere.
struct Passes {
  template <class Pass>
  using Run = void (*)(const Pass& pass, ElementType type, void* stream);
  Run<PixelNormSilu> pixel_norm_silu;
  Run<CatSilu> cat_silu;
  Run<ModulatedSilu> modulated_silu;
  Run<Sum2x2> sum_2x2;
  Run<Spread2x2> spread_2x2;
  Run<Add> add;
  Run<Clip> clip;
  Run<NormalizeQkv> normalize_qkv;
};

/// Of the library edm2_cuda; changes with every struct above.
constexpr int passes_version = 1;

/// The same on the CPU, slowly: tests compute with them what a GPU would.
const Passes& emulated();

// ---- numbers ----

template <class T>
struct Number;
template <>
struct Number<float> {
  static EDM2_ANYWHERE float read(float x) { return x; }
  static EDM2_ANYWHERE float round(float x) { return x; }
};
template <>
struct Number<Bf16> {
  static EDM2_ANYWHERE float read(Bf16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  static EDM2_ANYWHERE Bf16 round(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fc0};  // NaN
    return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
  }
};

/// Elements that are read and written at once.
template <class T, int Width>
struct alignas(sizeof(T) * Width) Pack {
  T values[Width];
};
template <int Width>
struct Values {
  float v[Width];
};

template <int Width, class T>
EDM2_ANYWHERE Values<Width> load(const T* p) {
  const auto pack = *reinterpret_cast<const Pack<T, Width>*>(p);
  Values<Width> result;
  for (int i = 0; i < Width; ++i) result.v[i] = Number<T>::read(pack.values[i]);
  return result;
}
template <int Width, class T>
EDM2_ANYWHERE void store(T* p, const Values<Width>& x) {
  Pack<T, Width> pack;
  for (int i = 0; i < Width; ++i) pack.values[i] = Number<T>::round(x.v[i]);
  *reinterpret_cast<Pack<T, Width>*>(p) = pack;
}

template <int Width, class Function>
EDM2_ANYWHERE Values<Width> map(const Values<Width>& x, const Function& function) {
  Values<Width> result;
  for (int i = 0; i < Width; ++i) result.v[i] = function(x.v[i]);
  return result;
}
template <int Width, class Function>
EDM2_ANYWHERE Values<Width> map(const Values<Width>& x, const Values<Width>& y,
                                const Function& function) {
  Values<Width> result;
  for (int i = 0; i < Width; ++i) result.v[i] = function(x.v[i], y.v[i]);
  return result;
}

EDM2_ANYWHERE float silu(float x) { return x / (1 + expf(-x)); }
/// NaN stays NaN.
EDM2_ANYWHERE float clipped(float x, float limit) {
  x = x > limit ? limit : x;
  return x < -limit ? -limit : x;
}
EDM2_ANYWHERE float divisor_of(float squares, int64_t size) {
  return 1e-4f + sqrtf(squares) / sqrtf(static_cast<float>(size));
}

// ---- what a group does for one item ----

/// The group of one thread.
struct Alone {
  EDM2_ANYWHERE int64_t rank() const { return 0; }
  EDM2_ANYWHERE int64_t size() const { return 1; }
  EDM2_ANYWHERE float sum(float x) const { return x; }
};

/// Calls body(i) for the places i of this thread's packs in [0, channels).
template <int Width, class Group, class Body>
EDM2_ANYWHERE void each_pack(const Group& group, int64_t channels, const Body& body) {
  for (int64_t i = group.rank() * Width; i < channels; i += group.size() * Width) body(i);
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const PixelNormSilu& a, int64_t pixel, const Group& group) {
  const int64_t at = pixel * a.channels;
  const T* x = static_cast<const T*>(a.x) + at;
  T *kept = static_cast<T*>(a.kept) + at, *activated = static_cast<T*>(a.activated) + at;
  const auto values = [&](int64_t i) {
    return map(load<Width>(x + i), [&](float v) { return clipped(v, a.limit); });
  };
  float squares = 0;
  each_pack<Width>(group, a.channels, [&](int64_t i) {
    const auto v = values(i);
    for (int k = 0; k < Width; ++k) squares += v.v[k] * v.v[k];
  });
  const float inverse = 1 / divisor_of(group.sum(squares), a.channels);
  each_pack<Width>(group, a.channels, [&](int64_t i) {
    const auto v = map(values(i), [&](float y) { return y * inverse; });
    store<Width>(kept + i, map(v, [&](float y) { return y * a.keep; }));
    store<Width>(activated + i, map(v, [](float y) { return silu(y); }));
  });
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const CatSilu& a, int64_t pixel, const Group& group) {
  const int64_t channels = a.channels_a + a.channels_b;
  T* kept = static_cast<T*>(a.kept) + pixel * channels;
  T* activated = static_cast<T*>(a.activated) + pixel * channels;
  each_pack<Width>(group, channels, [&](int64_t i) {
    const bool first = i < a.channels_a;
    const T* from = first ? static_cast<const T*>(a.a) + pixel * a.channels_a + i
                          : static_cast<const T*>(a.b) + pixel * a.channels_b + (i - a.channels_a);
    const float limit = first ? a.limit_a : a.limit_b, weight = first ? a.weight_a : a.weight_b;
    const auto v = map(load<Width>(from), [&](float x) { return clipped(x, limit) * weight; });
    store<Width>(kept + i, map(v, [&](float x) { return x * a.keep; }));
    store<Width>(activated + i, map(v, [](float x) { return silu(x); }));
  });
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const ModulatedSilu& a, int64_t pixel, const Group& group) {
  T* y = static_cast<T*>(a.y) + pixel * a.channels;
  const float* c = a.c + pixel / a.pixels_per_image * a.c_stride;
  each_pack<Width>(group, a.channels, [&](int64_t i) {
    Values<Width> factors;
    for (int k = 0; k < Width; ++k) factors.v[k] = c[i + k];
    store<Width>(y + i,
                 map(load<Width>(y + i), factors, [](float v, float f) { return silu(v * f); }));
  });
}

/// The first of 2x2 pixels of an image of twice the size.
EDM2_ANYWHERE int64_t first_of_four(int64_t pixel, int64_t columns) {
  return 4 * (pixel / columns) * columns + 2 * (pixel % columns);
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const Sum2x2& a, int64_t pixel, const Group& group) {
  const T* x = static_cast<const T*>(a.x) + first_of_four(pixel, a.columns) * a.channels;
  T* out = static_cast<T*>(a.out) + pixel * a.channels;
  const int64_t row = 2 * a.columns * a.channels;
  each_pack<Width>(group, a.channels, [&](int64_t i) {
    const auto at = [&](int64_t place) {
      return map(load<Width>(x + place + i), [&](float v) { return clipped(v, a.limit); });
    };
    const auto plus = [](float u, float v) { return u + v; };
    const auto sum =
        map(map(at(0), at(a.channels), plus), map(at(row), at(row + a.channels), plus), plus);
    store<Width>(out + i, map(sum, [&](float v) { return v * a.scale; }));
  });
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const Spread2x2& a, int64_t pixel, const Group& group) {
  const T* x = static_cast<const T*>(a.x) + pixel * a.channels;
  T* out = static_cast<T*>(a.out) + first_of_four(pixel, a.columns) * a.channels;
  const int64_t row = 2 * a.columns * a.channels;
  each_pack<Width>(group, a.channels, [&](int64_t i) {
    const auto v = map(load<Width>(x + i), [&](float u) { return clipped(u, a.limit); });
    for (const int64_t place : {int64_t{0}, a.channels, row, row + a.channels})
      store<Width>(out + place + i, v);
  });
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const Add& a, int64_t pixel, const Group& group) {
  T* x = static_cast<T*>(a.x) + pixel * a.channels;
  const T* y = static_cast<const T*>(a.y) + pixel * a.channels;
  each_pack<Width>(group, a.channels, [&](int64_t i) {
    store<Width>(
        x + i, map(load<Width>(x + i), load<Width>(y + i), [](float u, float v) { return u + v; }));
  });
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const Clip& a, int64_t pixel, const Group& group) {
  T* x = static_cast<T*>(a.x) + pixel * a.channels;
  each_pack<Width>(group, a.channels, [&](int64_t i) {
    store<Width>(x + i, map(load<Width>(x + i), [&](float v) { return clipped(v, a.limit); }));
  });
}

template <class T, int Width, class Group>
EDM2_ANYWHERE void apply(const NormalizeQkv& a, int64_t item, const Group& group) {
  T* x = static_cast<T*>(a.qkv) + item * a.depth;
  float squares = 0;
  each_pack<Width>(group, a.depth, [&](int64_t i) {
    const auto v = load<Width>(x + i);
    for (int k = 0; k < Width; ++k) squares += v.v[k] * v.v[k];
  });
  const bool is_key = item / a.heads % 3 == 1;
  const float scale = (is_key ? a.k_scale : 1) / divisor_of(group.sum(squares), a.depth);
  each_pack<Width>(group, a.depth, [&](int64_t i) {
    store<Width>(x + i, map(load<Width>(x + i), [&](float v) { return v * scale; }));
  });
}

// ---- from types at run time to templates ----

/// Calls run's operator()<T, width>: packs of 16 bytes where all rows are multiples of them.
template <class T, class Pass, class Function>
void with_width(const Pass& pass, const Function& run) {
  constexpr int width = 16 / sizeof(T);
  if (divisible(pass, width))
    run.template operator()<T, width>();
  else
    run.template operator()<T, 1>();
}

/// The same for elements of that type; Float16 is the one of float16.
template <class Float16, class Pass, class Function>
void with_type(const Pass& pass, ElementType type, const Function& run) {
  switch (type) {
    case ElementType::f32:
      return with_width<float>(pass, run);
    case ElementType::f16:
      return with_width<Float16>(pass, run);
    case ElementType::bf16:
      return with_width<Bf16>(pass, run);
  }
}

template <class Runner>
constexpr Passes make_passes() {
  return {Runner::template run<PixelNormSilu>, Runner::template run<CatSilu>,
          Runner::template run<ModulatedSilu>, Runner::template run<Sum2x2>,
          Runner::template run<Spread2x2>,     Runner::template run<Add>,
          Runner::template run<Clip>,          Runner::template run<NormalizeQkv>};
}

}  // namespace edm2::cuda_passes
