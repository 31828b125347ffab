// Fused operators that arrange numbers anew: resolutions, heads of attention, weights of layers.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "nn/fused_kernels.h"
#include "nn/fused_ops.h"
#include "nn/kernel_calls.h"

namespace edm2 {
namespace {

using fused_kernels::best;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// 2x2 pixels <-> one pixel, both ways: each is the other's gradient.
Tensor change_resolution(const Tensor& x_in, bool down, double scale) {
  const Tensor x = arranged(x_in);
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const Tensor out = down ? empty_as(x, {n, c, h / 2, w / 2}) : empty_as(x, {n, c, 2 * h, 2 * w});
  const int64_t rows = n * (down ? h / 2 : h), width = down ? w / 2 : w;  // of the small one
  run_kernels(best(), x, rows, 4 * width * c,
              [&](const auto& k, auto t, int64_t begin, int64_t end) {
                using T = decltype(t);
                const int64_t small = begin * width * c;
                if (down)
                  k.sum_2x2(read<T>(x) + 4 * small, end - begin, width, c,
                            static_cast<float>(scale), write<T>(out) + small);
                else
                  k.spread_2x2(read<T>(x) + small, end - begin, width, c, static_cast<float>(scale),
                               write<T>(out) + 4 * small);
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
    run_kernels(best(), qkv, qkv.size(0) * pixels, c,
                [&](const auto& kernels, auto t, int64_t begin, int64_t end) {
                  while (begin < end) {
                    const int64_t n = begin / pixels, stop = std::min(end, (n + 1) * pixels);
                    body(kernels, t, begin * c, n * (c / 3) * pixels + (begin - n * pixels) * depth,
                         stop - begin);
                    begin = stop;
                  }
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
    run_kernels(best(), effective, layout.rows, layout.size,
                [&](const auto& k, auto t, int64_t begin, int64_t end) {
                  using T = decltype(t);
                  k.effective_weight(write<float>(weight) + begin * layout.size, end - begin,
                                     layout.channels, layout.taps, force,
                                     static_cast<float>(factor),
                                     write<T>(effective) + begin * layout.size);
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
    run_kernels(best(), g, layout.rows, layout.size,
                [&](const auto& k, auto t, int64_t begin, int64_t end) {
                  using T = decltype(t);
                  k.effective_weight_backward(
                      read<float>(weight) + begin * layout.size, read<T>(g) + begin * layout.size,
                      transposed, end - begin, layout.channels, layout.taps,
                      static_cast<float>(ctx->saved_data["factor"].toDouble()),
                      write<float>(grad) + begin * layout.size, write<float>(by_row) + begin);
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
