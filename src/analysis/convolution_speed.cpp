#include "analysis/convolution_speed.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <limits>

#include "core/onednn.h"
#include "edm2/core/platform.h"
#include "nn/dispatched_operator.h"
#include "nn/unet_plan.h"

namespace edm2 {
namespace {

constexpr auto channels_last = at::MemoryFormat::ChannelsLast;

/// Waits until the device has done what it was asked to do.
void synchronize(c10::Device device) {
  if (!device.is_cpu())
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

/// Seconds that one call takes, warm; short ones are averaged.
double time_call(const std::function<void()>& call, c10::Device device) {
  constexpr double enough = 5e-3;
  call();
  synchronize(device);
  double begin = seconds_now(), passed = 0;
  int64_t calls = 0;
  do {
    call();
    synchronize(device);
    passed = seconds_now() - begin;
    ++calls;
  } while (passed < enough && calls < 10);
  return passed / static_cast<double>(calls);
}

struct Candidate {
  std::string name;
  std::function<void()> call;
};

/// The fastest of them.
Candidate choose(const std::vector<Candidate>& candidates, c10::Device device) {
  double best = std::numeric_limits<double>::infinity();
  Candidate chosen;
  for (const Candidate& candidate : candidates)
    for (int attempt = 0; attempt < 2; ++attempt)
      if (const double seconds = time_call(candidate.call, device); seconds < best) {
        best = seconds;
        chosen = candidate;
      }
  return chosen;
}

c10::List<int64_t> pair(int64_t value) { return {value, value}; }

/// oneDNN's convolution with weights in the order that it likes best, where this libtorch has it.
std::optional<Candidate> packed_convolution(const Tensor& x, const Tensor& w) {
  const auto reorder = find_operator("mkldnn::_reorder_convolution_weight");
  const auto convolve = find_operator("mkldnn::_convolution_pointwise");
  if (!x.is_cpu() || !reorder || !convolve || w.size(0) == 0) return std::nullopt;
  if (!onednn_takes(x.scalar_type())) return std::nullopt;
  const int64_t padding = w.size(2) / 2;
  const Tensor packed =
      call(*reorder, {w, pair(padding), pair(1), pair(1), 1, c10::List<int64_t>(x.sizes().vec())})
          .toTensor();
  return Candidate{"packed channels-last", [x, packed, padding, op = *convolve] {
                     call(op, {x, packed, c10::IValue(), pair(padding), pair(1), pair(1), 1, "none",
                               c10::List<std::optional<at::Scalar>>(), ""});
                   }};
}

Candidate convolution(const std::string& name, const Tensor& x, const Tensor& w) {
  return {name, [x, w] { at::conv2d(x, w, {}, 1, w.size(2) / 2); }};
}

Candidate gradient(const std::string& name, const Tensor& g, const Tensor& x, const Tensor& w,
                   bool of_input) {
  const int64_t padding = w.size(2) / 2;
  return {name, [=] {
            at::convolution_backward(g, x, w, at::OptionalIntArrayRef(), {1, 1}, {padding, padding},
                                     {1, 1}, false, {0, 0}, 1, {of_input, !of_input, false});
          }};
}

}  // namespace

std::vector<ConvolutionShape> convolutions_of(const NetworkOptions& options) {
  std::vector<ConvolutionShape> shapes;
  const auto add = [&](int64_t in, int64_t out, int64_t size, int64_t kernel, bool first = false) {
    const ConvolutionShape shape{in, out, size, kernel, !first};
    for (ConvolutionShape& known : shapes) {
      ConvolutionShape alike = known;
      alike.count = 1;
      if (alike == shape) {
        known.count += 1;
        return;
      }
    }
    shapes.push_back(shape);
  };
  const UNetPlan plan = plan_unet(options);
  const auto add_block = [&](const BlockPlan& block, bool encoder) {
    const int64_t size = std::stoll(block.name), in = block.in_channels, out = block.out_channels;
    add(encoder ? out : in, out, size, 3);
    add(out, out, size, 3);
    if (in != out) add(in, out, size, 1);
    if (block.num_heads == 0) return;
    add(out, 3 * out, size, 1);
    add(out, out, size, 1);
  };
  for (const BlockPlan& block : plan.encoder)
    if (block.is_conv)
      add(block.in_channels, block.out_channels, options.img_resolution, 3, /*first=*/true);
    else
      add_block(block, true);
  for (const BlockPlan& block : plan.decoder) add_block(block, false);
  add(plan.out_channels, options.img_channels, options.img_resolution, 3);
  return shapes;
}

ConvolutionTimer::ConvolutionTimer(const ConvolutionShape& shape, int64_t batch,
                                   c10::ScalarType dtype, c10::Device device, bool gradients)
    : shape_(shape), device_(device) {
  c10::NoGradGuard no_grad;
  const auto random = [&](int64_t channels, int64_t rows, int64_t size) {
    return at::randn({rows, channels, size, size}, at::device(device)).to(dtype);
  };
  const Tensor x = random(shape.in, batch, shape.size), g = random(shape.out, batch, shape.size),
               w = random(shape.in, shape.out, shape.kernel);
  const Tensor xc = x.contiguous(channels_last), gc = g.contiguous(channels_last),
               wc = w.contiguous(channels_last);
  // The input's gradient is the convolution of the output's with the kernel turned round.
  const Tensor turned = w.transpose(0, 1).flip({2, 3}).contiguous(channels_last);

  std::vector<Candidate> forward = {convolution("contiguous", x, w),
                                    convolution("channels-last", xc, wc)};
  std::vector<Candidate> input = {gradient("contiguous", g, x, w, true),
                                  gradient("channels-last", gc, xc, wc, true),
                                  convolution("turned channels-last", gc, turned)};
  std::vector<Candidate> weight = {gradient("contiguous", g, x, w, false),
                                   gradient("channels-last", gc, xc, wc, false)};
  if (auto packed = packed_convolution(xc, wc)) forward.push_back(*packed);
  if (auto packed = packed_convolution(gc, turned)) input.push_back(*packed);
  if (shape.kernel == 1) {  // matrix products
    const Tensor xm = xc.permute({0, 2, 3, 1}).reshape({-1, shape.in}),
                 gm = gc.permute({0, 2, 3, 1}).reshape({-1, shape.out}),
                 wm = w.reshape({shape.out, shape.in});
    forward.push_back({"matrix product", [=] { at::mm(xm, wm.t()); }});
    input.push_back({"matrix product", [=] { at::mm(gm, wm); }});
    weight.push_back({"matrix product", [=] { at::mm(gm.t(), xm); }});
  }
  for (const auto* candidates : {&forward, &input, &weight}) {
    if (candidates != &forward && !gradients) continue;
    if (candidates == &input && !shape.input_gradient) continue;
    Candidate chosen = choose(*candidates, device);
    names_.push_back(chosen.name);
    passes_.push_back(std::move(chosen.call));
  }
}

double ConvolutionTimer::measure() const {
  c10::NoGradGuard no_grad;
  double sum = 0;
  for (const auto& pass : passes_) sum += time_call(pass, device_);
  return sum;
}

ConvolutionFloor::ConvolutionFloor(const NetworkOptions& network, int64_t batch,
                                   Precision precision, c10::Device device, bool gradients) {
  const auto dtype = activation_dtype(precision, network.use_fp16, device);
  for (const ConvolutionShape& shape : convolutions_of(network)) {
    check_interrupt();
    timers_.emplace_back(shape, batch, dtype, device, gradients);
  }
  times_.resize(timers_.size());
}

double ConvolutionFloor::measure() {
  double sum = 0;
  for (size_t i = 0; i < timers_.size(); ++i) {
    times_[i].push_back(timers_[i].measure());
    sum += times_[i].back() * static_cast<double>(timers_[i].shape().count);
  }
  return sum;
}

double ConvolutionFloor::seconds() const {
  double sum = 0;
  for (size_t i = 0; i < timers_.size(); ++i)
    sum += median(times_[i]) * static_cast<double>(timers_[i].shape().count);
  return sum;
}

double LapClock::lap() {
  synchronize(device_);
  const double now = seconds_now();
  return now - std::exchange(last_, now);
}

}  // namespace edm2
