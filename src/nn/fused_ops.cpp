#include "nn/fused_ops.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "nn/fused_kernels.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

using fused_kernels::best;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct WithSilu : Function<WithSilu> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x_in) {
    const Tensor x = arranged(x_in);
    const Tensor y = empty_as(x);
    run_kernels(best(), x, x.numel(), 1, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      k.silu(read<T>(x) + begin, end - begin, write<T>(y) + begin);
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
    run_kernels(best(), x, x.numel(), 1, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      k.silu_backward(read<T>(x) + begin, read<T>(beside, begin), read<T>(g) + begin, end - begin,
                      write<T>(grad) + begin);
    });
    return {grad};
  }
};

struct PixelNormWithSilu : Function<PixelNormWithSilu> {
  static variable_list forward(AutogradContext* ctx, const Tensor& x_in) {
    const Tensor x = arranged(x_in);
    const Tensor normalized = empty_as(x), y = empty_as(x);
    const int64_t c = x.size(1);
    run_kernels(best(), x, pixels_of(x), c, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      k.pixel_norm_silu(read<T>(x) + begin * c, end - begin, c, write<T>(normalized) + begin * c,
                        write<T>(y) + begin * c);
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
    run_kernels(best(), x, pixels_of(x), c, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      k.pixel_norm_silu_backward(read<T>(x) + begin * c, read<T>(beside, begin * c),
                                 read<T>(g) + begin * c, end - begin, c,
                                 write<T>(grad) + begin * c);
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
    run_kernels(best(), a, pixels_of(a), c, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      k.cat_silu(read<T>(a) + begin * ca, read<T>(b) + begin * cb, end - begin, ca, cb,
                 static_cast<float>(weight_a), static_cast<float>(weight_b),
                 write<T>(joined) + begin * c, write<T>(y) + begin * c);
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
    run_kernels(best(), a, pixels_of(a), c, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      k.cat_silu_backward(read<T>(a) + begin * ca, read<T>(b) + begin * cb,
                          read<T>(beside, begin * c), read<T>(g) + begin * c, end - begin, ca, cb,
                          static_cast<float>(weights[0]), static_cast<float>(weights[1]),
                          write<T>(grad_a) + begin * ca, write<T>(grad_b) + begin * cb);
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
    run_kernels(best(), y, pixels_of(y), channels,
                [&](const auto& k, auto t, int64_t begin, int64_t end) {
                  using T = decltype(t);
                  while (begin < end) {  // image by image
                    const int64_t n = begin / image, stop = std::min(end, (n + 1) * image);
                    k.modulated_silu(read<T>(y) + begin * channels, read<float>(c) + n * channels,
                                     stop - begin, channels, write<T>(out) + begin * channels);
                    begin = stop;
                  }
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
    run_kernels(best(), y, y.size(0) * pieces, piece * channels,
                [&](const auto& k, auto t, int64_t begin, int64_t end) {
                  using T = decltype(t);
                  for (int64_t i = begin; i < end; ++i) {
                    const int64_t n = i / pieces, first = n * image + i % pieces * piece,
                                  last = std::min(first + piece, (n + 1) * image);
                    k.modulated_silu_backward(
                        read<T>(y) + first * channels, read<float>(c) + n * channels,
                        read<T>(g) + first * channels, last - first, channels,
                        write<T>(grad_y) + first * channels, write<float>(grad_c) + i * channels);
                  }
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
    run_kernels(best(), a, a.numel(), 1, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      if (k.sum_clip(read<T>(a) + begin, read<T>(b) + begin, end - begin,
                     static_cast<float>(weight_a), static_cast<float>(weight_b),
                     static_cast<float>(limit), write<T>(out) + begin))
        reached = true;
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
    run_kernels(best(), g, g.numel(), 1, [&](const auto& k, auto t, int64_t begin, int64_t end) {
      using T = decltype(t);
      k.sum_clip_backward(read<T>(out, begin), read<T>(g) + begin, end - begin,
                          static_cast<float>(numbers[0]), static_cast<float>(numbers[1]),
                          static_cast<float>(numbers[2]), write<T>(grad_a) + begin,
                          write<T>(grad_b) + begin);
    });
    return {grad_a, grad_b, {}, {}, {}};
  }
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

}  // namespace edm2
