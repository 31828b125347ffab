#include "nn/fused_layers.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "core/onednn.h"
#include "core/parallel.h"
#include "nn/dispatched_operator.h"

namespace edm2 {
namespace {

c10::List<int64_t> pair(int64_t a, int64_t b) { return {a, b}; }

const char* attribute(Activation activation) {
  if (activation == Activation::relu) return "relu";
  return activation == Activation::gelu ? "gelu" : "none";
}
/// The exact GELU, not its approximation by tanh.
const char* algorithm(Activation activation) {
  return activation == Activation::gelu ? "none" : "";
}
c10::IValue optional(const Tensor& x) { return x.defined() ? c10::IValue(x) : c10::IValue(); }
c10::IValue no_scalars() { return c10::List<std::optional<at::Scalar>>(); }

Tensor activate(Tensor y, Activation activation) {
  if (activation == Activation::relu) return y.relu_();
  return activation == Activation::gelu ? at::gelu(y) : y;
}

/// Calls `pack` the way that the layer will be called, on one thread.
Tensor packed_on_one_thread(const std::function<Tensor()>& pack) {
  Tensor packed;
  for_each_on_one_thread(1, [&](int64_t) { packed = pack(); });
  return packed;
}

}  // namespace

Tensor pack_weight(const Tensor& weight, const ConvShape& shape) {
  const auto reorder = find_operator("mkldnn::_reorder_convolution_weight");
  if (!reorder || !find_operator("mkldnn::_convolution_pointwise") || !weight.is_cpu() ||
      !onednn_takes(weight.scalar_type()))
    return {};
  const c10::List<int64_t> input = {1, weight.size(1), shape.input_size, shape.input_size};
  const Tensor plain = weight.contiguous(at::MemoryFormat::ChannelsLast);
  return packed_on_one_thread([&] {
    return call(*reorder, {plain, pair(shape.pad_h, shape.pad_w), pair(shape.stride, shape.stride),
                           pair(1, 1), 1, input})
        .toTensor();
  });
}

FusedConv::FusedConv(const Tensor& weight, const Tensor& bias, const ConvShape& shape,
                     Activation activation)
    : packed_(pack_weight(weight, shape)), bias_(bias), shape_(shape), activation_(activation) {
  // One copy is enough.
  if (!packed_.defined()) weight_ = weight.contiguous(at::MemoryFormat::ChannelsLast);
}

FusedConv FusedConv::of_packed(Tensor packed, const ConvShape& shape) {
  FusedConv conv;
  conv.packed_ = std::move(packed);
  conv.shape_ = shape;
  return conv;
}

Tensor FusedConv::plain(const Tensor& x) const {
  return at::conv2d(x, weight_, bias_, shape_.stride, {shape_.pad_h, shape_.pad_w});
}

void FusedConv::add_to(const Tensor& sum, const Tensor& x) const {
  TORCH_CHECK(activation_ == Activation::none, "[FusedConv] sums have no activation");
  if (!packed_.defined()) {
    sum.add_(plain(x));
    return;
  }
  static const auto op = find_operator("mkldnn::_convolution_pointwise_", "binary");
  call(*op, {sum, x, packed_, optional(bias_), pair(shape_.pad_h, shape_.pad_w),
             pair(shape_.stride, shape_.stride), pair(1, 1), 1, "add", c10::IValue(), c10::IValue(),
             no_scalars(), c10::IValue()});
}

void FusedConv::write_to(const Tensor& y, const Tensor& x) const {
  // oneDNN's operator of libtorch that takes the result's memory adds to what is there.
  y.zero_();
  add_to(y, x);
}

Tensor FusedConv::operator()(const Tensor& x) const {
  if (!packed_.defined()) return activate(plain(x), activation_);
  static const auto op = find_operator("mkldnn::_convolution_pointwise");
  return call(*op, {x, packed_, optional(bias_), pair(shape_.pad_h, shape_.pad_w),
                    pair(shape_.stride, shape_.stride), pair(1, 1), 1, attribute(activation_),
                    no_scalars(), algorithm(activation_)})
      .toTensor();
}

// conv2d sends small single images, and 1x1 kernels on one thread, to another kernel than the rest;
// asked for directly, oneDNN takes all of them.
Tensor inference_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride,
                        at::IntArrayRef padding) {
  const bool by_onednn = x.is_cpu() && x.scalar_type() == at::kFloat && at::hasMKLDNN();
  if (!by_onednn) return at::conv2d(x, w, bias, stride, padding);
  return at::mkldnn_convolution(x, w, bias, padding, {stride, stride}, {1, 1}, 1);
}

FusedLinear::FusedLinear(const Tensor& weight, const Tensor& bias, int64_t rows,
                         Activation activation)
    : weight_(weight.contiguous()), bias_(bias), activation_(activation) {
  const auto reorder = find_operator("mkldnn::_reorder_linear_weight");
  if (!reorder || !find_operator("mkldnn::_linear_pointwise") || !weight.is_cpu() ||
      !onednn_takes(weight.scalar_type()))
    return;
  packed_ = packed_on_one_thread([&] { return call(*reorder, {weight_, rows}).toTensor(); });
}

Tensor FusedLinear::operator()(const Tensor& x) const {
  if (!packed_.defined()) return activate(at::linear(x, weight_, bias_), activation_);
  static const auto op = find_operator("mkldnn::_linear_pointwise");
  return call(*op,
              {x, packed_, bias_, attribute(activation_), no_scalars(), algorithm(activation_)})
      .toTensor();
}

void for_each_on_one_thread(int64_t count, const std::function<void(int64_t)>& work) {
  // Operators inside of a parallel region do not start threads; a region has two indices at least.
  parallel_for(0, std::max<int64_t>(count, 2), 1, [&](int64_t begin, int64_t end) {
    const c10::NoGradGuard no_grad;  // is a matter of each thread
    for (int64_t i = begin; i < std::min(end, count); ++i) work(i);
  });
}

}  // namespace edm2
