#include "nn/autoencoder_layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "nn/fused_layers.h"

namespace edm2::autoencoder {
namespace {

constexpr double eps = 1e-6;
constexpr auto channels_last = at::MemoryFormat::ChannelsLast;

Tensor in_channels_last(const Tensor& weight) {
  return weight.defined() ? weight.contiguous(channels_last) : weight;
}

Tensor empty_picture(const Tensor& like, int64_t channels, int64_t height, int64_t width) {
  return at::empty({like.size(0), channels, height, width}, like.options(), channels_last);
}

/// Calls run(begin, end) for consecutive rows, as many at a time as keep within the limit.
template <class Run>
void for_each_strip(int64_t rows, int64_t bytes_per_row, int64_t limit, const Run& run) {
  const int64_t height = std::max<int64_t>(1, limit / std::max<int64_t>(bytes_per_row, 1));
  for (int64_t begin = 0; begin < rows; begin += height) run(begin, std::min(rows, begin + height));
}

int64_t row_bytes(const Tensor& x) {
  return static_cast<int64_t>(x.nbytes()) / std::max<int64_t>(x.size(2), 1);
}

bool fits(const Tensor& x, int64_t limit) { return static_cast<int64_t>(x.nbytes()) <= limit; }

// Adds `pixels` rows of `channels` values to the two rows of sums.
void add_pixels(const float* x, int64_t pixels, int64_t channels, double* sums, double* squares) {
  for (int64_t p = 0; p < pixels; ++p, x += channels)
    for (int64_t c = 0; c < channels; ++c) {
      const double value = x[c];
      sums[c] += value;
      squares[c] += value * value;
    }
}

/// Sums and sums of squares of each channel of x[N,C,H,W] (CPU, float32, channels-last order):
/// float64 [2,N,C]. The result does not depend on the number of threads.
Tensor channel_sums(const Tensor& x) {
  const int64_t n = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3);
  // Blocks of fixed size, summed up in order.
  constexpr int64_t block = 4096;
  const int64_t blocks = (pixels + block - 1) / block;
  const Tensor partial = at::zeros({2, n, blocks, channels}, at::kDouble);
  const auto* data = x.const_data_ptr<float>();
  auto* sums = partial.mutable_data_ptr<double>();
  auto* squares = sums + n * blocks * channels;
  parallel_for(0, n * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % blocks * block, count = std::min(block, pixels - first);
      add_pixels(data + (i / blocks * pixels + first) * channels, count, channels,
                 sums + i * channels, squares + i * channels);
    }
  });
  return partial.sum(2);
}

}  // namespace

Conv::Conv(const TakeParameter& take, const std::string& name, int64_t in_channels,
           int64_t out_channels, int64_t kernel)
    : weight(in_channels_last(take(name + ".weight", {out_channels, in_channels, kernel, kernel}))),
      bias(take(name + ".bias", {out_channels})) {}

Tensor Conv::operator()(const Tensor& x) const {
  const int64_t padding = weight.size(2) / 2;
  return inference_conv2d(x, weight, bias, /*stride=*/1, {padding, padding});
}

Norm::Norm(const TakeParameter& take, const std::string& name, int64_t channels, int64_t groups)
    : groups(groups),
      weight(take(name + ".weight", {channels})),
      bias(take(name + ".bias", {channels})) {}

Tensor Norm::operator()(const Tensor& x) const {
  // On the CPU libtorch's statistics of pictures in channels-last order are less exact than ours.
  if (!x.is_cpu()) return at::group_norm(x, groups, weight, bias, eps);
  const auto [scale, shift] = affine(x);
  return x.mul(scale).add_(shift);
}

std::pair<Tensor, Tensor> Norm::affine(const Tensor& x) const {
  const int64_t n = x.size(0), channels = x.size(1), per_group = channels / groups;
  Tensor mean, variance;  // [N, groups, 1]
  if (x.is_cpu()) {
    const double count = static_cast<double>(per_group * x.size(2) * x.size(3));
    const Tensor sums = channel_sums(x.contiguous(channels_last))
                            .reshape({2, n, groups, per_group})
                            .sum(3, true)
                            .div(count);
    mean = sums[0];
    variance = (sums[1] - mean.square()).clamp_min(0);
  } else {
    std::tie(variance, mean) =
        at::var_mean(x.reshape({n, groups, -1}), at::IntArrayRef{2}, /*unbiased=*/false,
                     /*keepdim=*/true);
  }
  const auto per_channel = [&](const Tensor& values) {  // [N, groups, 1] -> [N, groups, C/groups]
    return values.expand({n, groups, per_group});
  };
  const Tensor gain = weight.reshape({groups, per_group}),
               offset = bias.reshape({groups, per_group});
  const Tensor scale = per_channel((variance + eps).rsqrt()) * gain;
  const Tensor shift = offset - per_channel(mean) * scale;
  return {scale.to(at::kFloat).reshape({n, channels, 1, 1}),
          shift.to(at::kFloat).reshape({n, channels, 1, 1})};
}

Tensor norm_silu_conv(const Tensor& x, const Norm& norm, const Conv& conv, int64_t strip_bytes,
                      Tensor sum) {
  if (fits(x, strip_bytes)) {
    Tensor y = norm(x);
    y = conv(at::silu_(y));
    return sum.defined() ? sum.add_(y) : y;
  }
  const int64_t height = x.size(2), width = x.size(3);
  const auto [scale, shift] = norm.affine(x);
  Tensor out = sum.defined() ? sum : empty_picture(x, conv.weight.size(0), height, width);
  for_each_strip(height, row_bytes(x), strip_bytes, [&](int64_t begin, int64_t end) {
    // The strip with one row more above and below; beyond the picture these are zero.
    const int64_t from = std::max<int64_t>(begin - 1, 0), to = std::min(end + 1, height);
    Tensor padded = empty_picture(x, x.size(1), end - begin + 2, width);
    Tensor rows = padded.narrow(2, from - (begin - 1), to - from);
    at::mul_out(rows, x.narrow(2, from, to - from), scale);
    at::silu_(rows.add_(shift));
    if (begin == 0) padded.narrow(2, 0, 1).zero_();
    if (end == height) padded.narrow(2, end - begin + 1, 1).zero_();
    const Tensor y = inference_conv2d(padded, conv.weight, conv.bias, /*stride=*/1, {0, 1});
    Tensor target = out.narrow(2, begin, end - begin);
    if (sum.defined())
      target.add_(y);
    else
      target.copy_(y);
  });
  return out;
}

ResidualBlock::ResidualBlock(const TakeParameter& take, const std::string& name,
                             int64_t in_channels, int64_t out_channels, int64_t groups)
    : norm1_(take, name + ".norm1", in_channels, groups),
      conv1_(take, name + ".conv1", in_channels, out_channels, 3),
      norm2_(take, name + ".norm2", out_channels, groups),
      conv2_(take, name + ".conv2", out_channels, out_channels, 3) {
  if (in_channels != out_channels)
    shortcut_.emplace(take, name + ".conv_shortcut", in_channels, out_channels, 1);
}

Tensor ResidualBlock::operator()(Tensor x, int64_t strip_bytes) const {
  const Tensor h = norm_silu_conv(x, norm1_, conv1_, strip_bytes);
  if (shortcut_) x = (*shortcut_)(x);
  return norm_silu_conv(h, norm2_, conv2_, strip_bytes, std::move(x));
}

Attention::Linear::Linear(const TakeParameter& take, const std::string& name, int64_t channels)
    : weight(take(name + ".weight", {channels, channels})),
      bias(take(name + ".bias", {channels})) {}

Tensor Attention::Linear::operator()(const Tensor& x) const { return at::linear(x, weight, bias); }

Attention::Attention(const TakeParameter& take, const std::string& name, int64_t channels,
                     int64_t groups)
    : norm_(take, name + ".group_norm", channels, groups),
      query_(take, name + ".to_q", channels),
      key_(take, name + ".to_k", channels),
      value_(take, name + ".to_v", channels),
      out_(take, name + ".to_out.0", channels) {}

Tensor Attention::operator()(Tensor x, int64_t strip_bytes) const {
  const int64_t n = x.size(0), channels = x.size(1), pixels = x.size(2) * x.size(3);
  // [N, C, H, W] -> one head: [N, 1, HW, C].
  const Tensor y = norm_(x).permute({0, 2, 3, 1}).reshape({n, 1, pixels, channels});
  const Tensor q = query_(y), k = key_(y), v = value_(y);
  // Where libtorch computes the weights of all pairs of pixels, it is given some rows at a time.
  Tensor result = at::empty_like(y);
  for_each_strip(
      pixels, n * pixels * static_cast<int64_t>(sizeof(float)), strip_bytes,
      [&](int64_t begin, int64_t end) {
        result.narrow(2, begin, end - begin)
            .copy_(at::scaled_dot_product_attention(q.narrow(2, begin, end - begin), k, v));
      });
  return x.add_(out_(result).reshape({n, x.size(2), x.size(3), channels}).permute({0, 3, 1, 2}));
}

Tensor Downsample::operator()(const Tensor& x, int64_t strip_bytes) const {
  const int64_t height = x.size(2);
  const int64_t out_height = height / 2, out_width = x.size(3) / 2;
  const auto convolve = [&](int64_t from, int64_t to, int64_t rows_below) {
    const Tensor padded = at::constant_pad_nd(x.narrow(2, from, to - from), {0, 1, 0, rows_below});
    return inference_conv2d(padded, conv_.weight, conv_.bias, /*stride=*/2, {0, 0});
  };
  if (fits(x, strip_bytes)) return convolve(0, height, 1);
  Tensor out = empty_picture(x, x.size(1), out_height, out_width);
  for_each_strip(out_height, 2 * row_bytes(x), strip_bytes, [&](int64_t begin, int64_t end) {
    const int64_t to = 2 * end + 1;
    out.narrow(2, begin, end - begin)
        .copy_(convolve(2 * begin, std::min(to, height), to > height ? 1 : 0));
  });
  return out;
}

Upsample::Upsample(const TakeParameter& take, const std::string& name, int64_t channels) : bias_() {
  const Tensor weight = take(name + ".weight", {channels, channels, 3, 3});  // [out, in, 3, 3]
  bias_ = take(name + ".bias", {channels});
  if (!weight.defined()) return;
  // Output row o takes with weight w[u] the repeated row o + u - 1, which is input row
  // (o + u - 1) / 2 =: i. The transposed convolution adds k[a] times row i to output row
  // 2 i - 1 + a, that is a = o + 1 - 2 i: either 2 - u or, for the second of the two copies, 3 - u.
  Tensor kernel = at::zeros({channels, channels, 4, 4}, weight.options());
  for (int64_t u = 0; u < 3; ++u)
    for (int64_t v = 0; v < 3; ++v)
      kernel.narrow(2, 2 - u, 2).narrow(3, 2 - v, 2).add_(weight.narrow(2, u, 1).narrow(3, v, 1));
  weight_ = kernel.transpose(0, 1).contiguous(channels_last);
}

Tensor Upsample::operator()(const Tensor& x, int64_t strip_bytes) const {
  const auto convolve = [&](const Tensor& rows) {
    return at::conv_transpose2d(rows, weight_, bias_, /*stride=*/2, /*padding=*/1);
  };
  const int64_t height = x.size(2);
  const int64_t out_row_bytes = 4 * row_bytes(x);  // of the two output rows of one input row
  if (out_row_bytes * height <= strip_bytes) return convolve(x);
  Tensor out = empty_picture(x, x.size(1), 2 * height, 2 * x.size(3));
  for_each_strip(height, out_row_bytes, strip_bytes, [&](int64_t begin, int64_t end) {
    const int64_t from = std::max<int64_t>(begin - 1, 0), to = std::min(end + 1, height);
    const Tensor y = convolve(x.narrow(2, from, to - from));
    out.narrow(2, 2 * begin, 2 * (end - begin))
        .copy_(y.narrow(2, 2 * (begin - from), 2 * (end - begin)));
  });
  return out;
}

MidBlock::MidBlock(const TakeParameter& take, const std::string& name, int64_t channels,
                   const AutoencoderOptions& options)
    : first_(take, name + ".resnets.0", channels, channels, options.norm_num_groups),
      attention_(options.mid_block_add_attention
                     ? std::optional<Attention>(std::in_place, take, name + ".attentions.0",
                                                channels, options.norm_num_groups)
                     : std::nullopt),
      second_(take, name + ".resnets.1", channels, channels, options.norm_num_groups) {}

Tensor MidBlock::operator()(Tensor x, int64_t strip_bytes) const {
  x = first_(std::move(x), strip_bytes);
  if (attention_) x = (*attention_)(std::move(x), strip_bytes);
  return second_(std::move(x), strip_bytes);
}

}  // namespace edm2::autoencoder
