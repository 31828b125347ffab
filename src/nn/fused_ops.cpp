#include "nn/fused_ops.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "core/parallel.h"
#include "nn/fused_kernels.h"

namespace edm2 {
namespace {

using fused_kernels::ActivationKernels;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr auto nhwc = at::MemoryFormat::ChannelsLast;

/// Calls body(kernels, T{}) with the kernels for activations of this type.
template <class Body>
void for_type(c10::ScalarType type, const Body& body) {
  if (type == at::kBFloat16)
    body(fused_kernels::best().bf16, Bf16{});
  else
    body(fused_kernels::best().f32, float{});
}

template <class T>
const T* read(const Tensor& x) {
  return x.defined() ? static_cast<const T*>(x.const_data_ptr()) : nullptr;
}
template <class T>
T* write(const Tensor& x) {
  return static_cast<T*>(x.mutable_data_ptr());
}
template <class T>
T* offset(T* p, int64_t count) {
  return p == nullptr ? nullptr : p + count;
}

/// The same values in channels-last order and in the type of `like`; undefined stays undefined.
Tensor arranged(const Tensor& x, const Tensor& like) {
  if (!x.defined()) return x;
  const Tensor same_type = x.scalar_type() == like.scalar_type() ? x : x.to(like.scalar_type());
  return like.dim() == 4 ? same_type.contiguous(nhwc) : same_type.contiguous();
}
Tensor arranged(const Tensor& x) { return arranged(x, x); }

Tensor empty_as(const Tensor& x, at::IntArrayRef sizes) {
  return at::empty(sizes, x.options().memory_format(nhwc).requires_grad(false));
}
Tensor empty_as(const Tensor& x) { return empty_as(x, x.sizes()); }

int64_t pixels_of(const Tensor& x) { return x.size(0) * x.size(2) * x.size(3); }

/// Splits [0, count) items of `item_size` elements over the threads.
template <class Body>
void parallel(int64_t count, int64_t item_size, const Body& body) {
  constexpr int64_t elements = 8192;  // what is worth a thread
  parallel_for(0, count, std::max<int64_t>(elements / std::max<int64_t>(item_size, 1), 1), body);
}

struct WithSilu : Function<WithSilu> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x_in) {
    const Tensor x = arranged(x_in);
    const Tensor y = empty_as(x);
    for_type(x.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(x.numel(), 1, [&](int64_t begin, int64_t end) {
        k.silu(read<T>(x) + begin, end - begin, write<T>(y) + begin);
      });
    });
    ctx->save_for_backward({x});
    ctx->set_materialize_grads(false);
    return {x, y};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Tensor x = ctx->get_saved_variables()[0];
    const Tensor beside = arranged(grads[0], x), g = arranged(grads[1], x);
    if (!g.defined()) return {beside};
    const Tensor grad = empty_as(x);
    for_type(x.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(x.numel(), 1, [&](int64_t begin, int64_t end) {
        k.silu_backward(read<T>(x) + begin, offset(read<T>(beside), begin), read<T>(g) + begin,
                        end - begin, write<T>(grad) + begin);
      });
    });
    return {grad};
  }
};

struct PixelNormWithSilu : Function<PixelNormWithSilu> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x_in) {
    const Tensor x = arranged(x_in);
    const Tensor normalized = empty_as(x), y = empty_as(x);
    const int64_t c = x.size(1);
    for_type(x.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(pixels_of(x), c, [&](int64_t begin, int64_t end) {
        k.pixel_norm_silu(read<T>(x) + begin * c, end - begin, c, write<T>(normalized) + begin * c,
                          write<T>(y) + begin * c);
      });
    });
    ctx->save_for_backward({x});
    ctx->set_materialize_grads(false);
    return {normalized, y};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Tensor x = ctx->get_saved_variables()[0];
    const Tensor beside = arranged(grads[0], x);
    const Tensor g = grads[1].defined() ? arranged(grads[1], x) : at::zeros_like(x);
    const Tensor grad = empty_as(x);
    const int64_t c = x.size(1);
    for_type(x.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(pixels_of(x), c, [&](int64_t begin, int64_t end) {
        k.pixel_norm_silu_backward(read<T>(x) + begin * c, offset(read<T>(beside), begin * c),
                                   read<T>(g) + begin * c, end - begin, c,
                                   write<T>(grad) + begin * c);
      });
    });
    return {grad};
  }
};

struct CatWithSilu : Function<CatWithSilu> {
  static variable_list forward(AutogradContext* ctx, const Tensor& a_in, const Tensor& b_in,
                               double weight_a, double weight_b) {
    const Tensor a = arranged(a_in), b = arranged(b_in, a_in);
    const int64_t ca = a.size(1), cb = b.size(1), c = ca + cb;
    const Tensor joined = empty_as(a, {a.size(0), c, a.size(2), a.size(3)}), y = empty_as(joined);
    for_type(a.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(pixels_of(a), c, [&](int64_t begin, int64_t end) {
        k.cat_silu(read<T>(a) + begin * ca, read<T>(b) + begin * cb, end - begin, ca, cb,
                   static_cast<float>(weight_a), static_cast<float>(weight_b),
                   write<T>(joined) + begin * c, write<T>(y) + begin * c);
      });
    });
    ctx->save_for_backward({a, b});
    ctx->saved_data["weights"] = std::vector<double>{weight_a, weight_b};
    ctx->set_materialize_grads(false);
    return {joined, y};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &a = saved[0], &b = saved[1];
    const int64_t ca = a.size(1), cb = b.size(1), c = ca + cb;
    const auto weights = ctx->saved_data["weights"].toDoubleVector();
    const Tensor beside = arranged(grads[0], a);
    const Tensor g =
        grads[1].defined()
            ? arranged(grads[1], a)
            : at::zeros({a.size(0), c, a.size(2), a.size(3)}, a.options()).contiguous(nhwc);
    const Tensor grad_a = empty_as(a), grad_b = empty_as(b);
    for_type(a.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(pixels_of(a), c, [&](int64_t begin, int64_t end) {
        k.cat_silu_backward(read<T>(a) + begin * ca, read<T>(b) + begin * cb,
                            offset(read<T>(beside), begin * c), read<T>(g) + begin * c, end - begin,
                            ca, cb, static_cast<float>(weights[0]), static_cast<float>(weights[1]),
                            write<T>(grad_a) + begin * ca, write<T>(grad_b) + begin * cb);
      });
    });
    return {grad_a, grad_b, {}, {}};
  }
};

struct ModulatedSilu : Function<ModulatedSilu> {
  static Tensor forward(AutogradContext* ctx, const Tensor& y_in, const Tensor& c_in) {
    const Tensor y = arranged(y_in);
    const Tensor c = c_in.expand({y.size(0), y.size(1)}).contiguous();
    const Tensor out = empty_as(y);
    const int64_t channels = y.size(1), image = y.size(2) * y.size(3);
    for_type(y.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(pixels_of(y), channels, [&](int64_t begin, int64_t end) {
        while (begin < end) {  // image by image
          const int64_t n = begin / image, stop = std::min(end, (n + 1) * image);
          k.modulated_silu(read<T>(y) + begin * channels, read<float>(c) + n * channels,
                           stop - begin, channels, write<T>(out) + begin * channels);
          begin = stop;
        }
      });
    });
    ctx->save_for_backward({y, c});
    ctx->saved_data["broadcast"] = c_in.size(0) != y.size(0);
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &y = saved[0], &c = saved[1];
    const Tensor g = arranged(grads[0], y);
    const Tensor grad_y = empty_as(y);
    // Sums over pixels are taken over pieces of fixed size, so that threads do not change them.
    constexpr int64_t piece = 256;
    const int64_t channels = y.size(1), image = y.size(2) * y.size(3),
                  pieces = (image + piece - 1) / piece;
    Tensor grad_c = at::zeros({y.size(0), pieces, channels}, c.options());
    for_type(y.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(y.size(0) * pieces, piece * channels, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t n = i / pieces, first = n * image + i % pieces * piece,
                        last = std::min(first + piece, (n + 1) * image);
          k.modulated_silu_backward(read<T>(y) + first * channels, read<float>(c) + n * channels,
                                    read<T>(g) + first * channels, last - first, channels,
                                    write<T>(grad_y) + first * channels,
                                    write<float>(grad_c) + i * channels);
        }
      });
    });
    grad_c = grad_c.sum(1);  // [N, C]
    if (ctx->saved_data["broadcast"].toBool()) grad_c = grad_c.sum(0, /*keepdim=*/true);
    return {grad_y, grad_c};
  }
};

struct SumClip : Function<SumClip> {
  static Tensor forward(AutogradContext* ctx, const Tensor& a_in, const Tensor& b_in,
                        double weight_a, double weight_b, double limit) {
    const Tensor a = arranged(a_in), b = arranged(b_in, a_in);
    const Tensor out = empty_as(a);
    std::atomic<bool> reached = false;
    for_type(a.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(a.numel(), 1, [&](int64_t begin, int64_t end) {
        if (k.sum_clip(read<T>(a) + begin, read<T>(b) + begin, end - begin,
                       static_cast<float>(weight_a), static_cast<float>(weight_b),
                       static_cast<float>(limit), write<T>(out) + begin))
          reached = true;
      });
    });
    if (reached) ctx->save_for_backward({out});
    ctx->saved_data["numbers"] = std::vector<double>{weight_a, weight_b, limit};
    return out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor out = saved.empty() ? Tensor() : saved[0];
    const auto numbers = ctx->saved_data["numbers"].toDoubleVector();
    const Tensor g = arranged(grads[0]);
    const Tensor grad_a = empty_as(g), grad_b = empty_as(g);
    for_type(g.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(g.numel(), 1, [&](int64_t begin, int64_t end) {
        k.sum_clip_backward(offset(read<T>(out), begin), read<T>(g) + begin, end - begin,
                            static_cast<float>(numbers[0]), static_cast<float>(numbers[1]),
                            static_cast<float>(numbers[2]), write<T>(grad_a) + begin,
                            write<T>(grad_b) + begin);
      });
    });
    return {grad_a, grad_b, {}, {}, {}};
  }
};

/// 2x2 pixels <-> one pixel, both ways: each is the other's gradient.
Tensor change_resolution(const Tensor& x_in, bool down, double scale) {
  const Tensor x = arranged(x_in);
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const Tensor out = down ? empty_as(x, {n, c, h / 2, w / 2}) : empty_as(x, {n, c, 2 * h, 2 * w});
  const int64_t rows = n * (down ? h / 2 : h), width = down ? w / 2 : w;  // of the small one
  for_type(x.scalar_type(), [&](const auto& k, auto t) {
    using T = decltype(t);
    parallel(rows, 4 * width * c, [&](int64_t begin, int64_t end) {
      const int64_t small = begin * width * c;
      if (down)
        k.sum_2x2(read<T>(x) + 4 * small, end - begin, width, c, static_cast<float>(scale),
                  write<T>(out) + small);
      else
        k.spread_2x2(read<T>(x) + small, end - begin, width, c, static_cast<float>(scale),
                     write<T>(out) + 4 * small);
    });
  });
  return out;
}

struct ResampleBox : Function<ResampleBox> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, bool down) {
    ctx->saved_data["down"] = down;
    return change_resolution(x, down, down ? 0.25 : 1);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const bool down = ctx->saved_data["down"].toBool();
    return {change_resolution(grads[0], !down, down ? 0.25 : 1), {}};
  }
};

struct SplitQkv : Function<SplitQkv> {
  static variable_list forward(AutogradContext* ctx, const Tensor& qkv_in, int64_t heads) {
    const Tensor qkv = arranged(qkv_in);
    const int64_t n = qkv.size(0), depth = qkv.size(1) / (3 * heads),
                  pixels = qkv.size(2) * qkv.size(3);
    const auto empty = [&] { return at::empty({n * heads, pixels, depth}, qkv.options()); };
    const Tensor q = empty(), k = empty(), v = empty();
    for_parts(qkv, heads, [&](const auto& kernels, auto t, int64_t in, int64_t out, int64_t count) {
      using T = decltype(t);
      kernels.split_qkv(read<T>(qkv) + in, count, heads, depth, pixels, scale_of_k(depth),
                        write<T>(q) + out, write<T>(k) + out, write<T>(v) + out);
    });
    ctx->save_for_backward({qkv});
    ctx->saved_data["heads"] = heads;
    return {q, k, v};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Tensor qkv = ctx->get_saved_variables()[0];
    const int64_t heads = ctx->saved_data["heads"].toInt(), depth = qkv.size(1) / (3 * heads),
                  pixels = qkv.size(2) * qkv.size(3);
    const Tensor q = grads[0].contiguous(), k = grads[1].contiguous(), v = grads[2].contiguous();
    const Tensor grad = empty_as(qkv);
    for_parts(qkv, heads, [&](const auto& kernels, auto t, int64_t in, int64_t out, int64_t count) {
      using T = decltype(t);
      kernels.split_qkv_backward(read<T>(qkv) + in, read<T>(q) + out, read<T>(k) + out,
                                 read<T>(v) + out, count, heads, depth, pixels, scale_of_k(depth),
                                 write<T>(grad) + in);
    });
    return {grad, {}};
  }

 private:
  static float scale_of_k(int64_t depth) {
    return static_cast<float>(1 / std::sqrt(static_cast<double>(depth)));
  }

  /// body(kernels, T{}, where in qkv, where in q, k and v, pixels), image by image.
  template <class Body>
  static void for_parts(const Tensor& qkv, int64_t heads, const Body& body) {
    const int64_t c = qkv.size(1), depth = c / (3 * heads), pixels = qkv.size(2) * qkv.size(3);
    for_type(qkv.scalar_type(), [&](const auto& kernels, auto t) {
      parallel(qkv.size(0) * pixels, c, [&](int64_t begin, int64_t end) {
        while (begin < end) {
          const int64_t n = begin / pixels, stop = std::min(end, (n + 1) * pixels);
          body(kernels, t, begin * c, n * (c / 3) * pixels + (begin - n * pixels) * depth,
               stop - begin);
          begin = stop;
        }
      });
    });
  }
};

struct TrainingWeight : Function<TrainingWeight> {
  static Tensor forward(AutogradContext* ctx, const Tensor& weight,
                        const std::optional<Tensor>& gain, bool force, c10::ScalarType dtype) {
    const Layout layout(weight);
    const auto options = weight.options().dtype(dtype).requires_grad(false);
    const Tensor effective = weight.dim() == 4
                                 ? at::empty(weight.sizes(), options.memory_format(nhwc))
                                 : at::empty(weight.sizes(), options);
    const double factor =
        (gain ? gain->item<double>() : 1.0) / std::sqrt(static_cast<double>(layout.size));
    for_type(dtype, [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(layout.rows, layout.size, [&](int64_t begin, int64_t end) {
        k.effective_weight(write<float>(weight) + begin * layout.size, end - begin, layout.channels,
                           layout.taps, force, static_cast<float>(factor),
                           write<T>(effective) + begin * layout.size);
      });
    });
    ctx->save_for_backward({weight});
    ctx->saved_data["factor"] = factor;
    ctx->saved_data["gain"] = gain.has_value();
    return effective;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Tensor weight = ctx->get_saved_variables()[0];
    const Layout layout(weight);
    // oneDNN gives the gradients of kernels in the order of the weights, others may not.
    const bool transposed =
        weight.dim() == 4 && !grads[0].is_contiguous() && grads[0].is_contiguous(nhwc);
    const Tensor g = transposed ? grads[0] : grads[0].contiguous();
    const Tensor grad = at::empty(weight.sizes(), weight.options().requires_grad(false));
    Tensor by_row = at::empty({layout.rows}, grad.options());
    for_type(g.scalar_type(), [&](const auto& k, auto t) {
      using T = decltype(t);
      parallel(layout.rows, layout.size, [&](int64_t begin, int64_t end) {
        k.effective_weight_backward(
            read<float>(weight) + begin * layout.size, read<T>(g) + begin * layout.size, transposed,
            end - begin, layout.channels, layout.taps,
            static_cast<float>(ctx->saved_data["factor"].toDouble()),
            write<float>(grad) + begin * layout.size, write<float>(by_row) + begin);
      });
    });
    if (!ctx->saved_data["gain"].toBool()) return {grad, {}, {}, {}};
    return {grad, by_row.sum().div(std::sqrt(static_cast<double>(layout.size))), {}, {}};
  }

 private:
  struct Layout {
    explicit Layout(const Tensor& weight)
        : rows(weight.size(0)),
          channels(weight.size(1)),
          taps(weight.dim() == 4 ? weight.size(2) * weight.size(3) : 1),
          size(channels * taps) {
      TORCH_CHECK(weight.is_contiguous() && weight.scalar_type() == at::kFloat,
                  "[training_weight] the weight is not float32 in memory order");
    }
    int64_t rows, channels, taps, size;
  };
};

}  // namespace

bool is_fused(const Tensor& x) {
  return x.is_cpu() && c10::GradMode::is_enabled() &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         (x.dim() != 4 || x.size(1) <= fused_kernels::max_channels);
}

Branches with_silu(const Tensor& x) {
  if (!is_fused(x)) return {x, mp_silu(x)};
  const auto out = WithSilu::apply(x);
  return {out[0], out[1]};
}

Branches pixel_norm_with_silu(const Tensor& x) {
  if (!is_fused(x)) return with_silu(normalize(x, at::IntArrayRef{1}));
  const auto out = PixelNormWithSilu::apply(x);
  return {out[0], out[1]};
}

Branches mp_cat_with_silu(const Tensor& a, const Tensor& b, double t) {
  if (!is_fused(a)) return with_silu(mp_cat(a, b, t));
  const auto [weight_a, weight_b] = mp_cat_weights(a.size(1), b.size(1), t);
  const auto out = CatWithSilu::apply(a, b, weight_a, weight_b);
  return {out[0], out[1]};
}

Tensor modulated_silu(const Tensor& y, const Tensor& c) {
  if (!is_fused(y)) return mp_silu(y * c.unsqueeze(2).unsqueeze(3).to(y.scalar_type()));
  return ModulatedSilu::apply(y, c);
}

Tensor mp_sum_clip(const Tensor& a, const Tensor& b, double t, std::optional<double> limit) {
  if (!is_fused(a)) {
    const Tensor sum = mp_sum(a, b, t);
    return limit ? sum.clamp(-*limit, *limit) : sum;
  }
  const double norm = std::sqrt((1 - t) * (1 - t) + t * t);
  return SumClip::apply(a, b, (1 - t) / norm, t / norm,
                        limit.value_or(std::numeric_limits<double>::infinity()));
}

Tensor resample_box(const Tensor& x, Resample mode) {
  if (mode == Resample::keep) return x;
  return ResampleBox::apply(x, mode == Resample::down);
}

Attention split_qkv(const Tensor& qkv, int64_t heads) {
  const auto out = SplitQkv::apply(qkv, heads);
  return {out[0], out[1], out[2]};
}

Tensor training_weight(const Tensor& weight, const Tensor& gain, bool force,
                       c10::ScalarType dtype) {
  return TrainingWeight::apply(weight, gain.defined() ? std::optional(gain) : std::nullopt, force,
                               dtype);
}

}  // namespace edm2
