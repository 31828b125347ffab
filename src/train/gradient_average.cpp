#include "train/gradient_average.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

#include "edm2/io/digest.h"

namespace edm2 {

/// Called by autograd when a parameter's gradient is complete.
struct GradientAverage::Hook : torch::autograd::PostAccumulateGradHook {
  Hook(GradientAverage& target, size_t parameter_index)
      : average(target), parameter(parameter_index) {}
  void operator()(const Tensor&) override { average.ready(parameter); }

  GradientAverage& average;
  size_t parameter;
};

GradientAverage::GradientAverage(Precond& network, ProcessGroup& group, int64_t bucket_bytes)
    : group_(group) {
  if (group.size() == 1) return;
  for (const auto& entry : network.named_parameters()) parameters_.push_back(*entry.tensor);
  make_buckets(bucket_bytes);
  for (size_t i = 0; i < parameters_.size(); ++i)
    torch::autograd::impl::set_post_acc_grad_hooks(parameters_[i],
                                                   std::make_unique<Hook>(*this, i));
}

GradientAverage::~GradientAverage() {
  for (const Tensor& parameter : parameters_)
    torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
}

void GradientAverage::make_buckets(int64_t bucket_bytes) {
  bucket_of_.resize(parameters_.size());
  int64_t filled = 0;  // numbers in the last bucket
  const auto close = [&] {
    if (filled > 0) buckets_.back().flat = at::empty({filled}, parameters_.front().options());
    filled = 0;
  };
  for (size_t i = parameters_.size(); i-- > 0;) {
    const int64_t size = parameters_[i].numel();
    // The first bucket is small, so that the exchange starts early.
    const int64_t room = (buckets_.size() <= 1 ? bucket_bytes / 16 : bucket_bytes) /
                         static_cast<int64_t>(sizeof(float));
    if (buckets_.empty() || (filled > 0 && filled + size > room)) {
      close();
      buckets_.emplace_back();
    }
    bucket_of_[i] = buckets_.size() - 1;
    buckets_.back().parameters.push_back(i);
    buckets_.back().offsets.push_back(filled);
    filled += size;
  }
  close();
}

void GradientAverage::begin() {
  const std::lock_guard lock(mutex_);
  sending_ = !buckets_.empty();
  next_ = 0;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters.size();
}

void GradientAverage::ready(size_t parameter) {
  const std::lock_guard lock(mutex_);
  if (!sending_) return;
  --buckets_[bucket_of_[parameter]].missing;
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) send(buckets_[next_++]);
}

void GradientAverage::send(Bucket& bucket) {
  c10::NoGradGuard no_grad;
  for (size_t i = 0; i < bucket.parameters.size(); ++i) {
    const Tensor& parameter = parameters_[bucket.parameters[i]];
    Tensor part = bucket.flat.narrow(0, bucket.offsets[i], parameter.numel());
    if (parameter.grad().defined())
      at::mul_out(part, parameter.grad().reshape({-1}),
                  at::scalar_tensor(1.0 / group_.size(), at::kDouble));
    else
      part.zero_();
  }
  bucket.sum = group_.start_all_reduce_sum(bucket.flat);
}

void GradientAverage::finish() {
  {
    const std::lock_guard lock(mutex_);
    if (!sending_) return;
    sending_ = false;
  }
  // Parameters that the loss did not depend on have kept their buckets back.
  while (next_ < buckets_.size()) send(buckets_[next_++]);
  c10::NoGradGuard no_grad;
  for (Bucket& bucket : buckets_) {
    bucket.sum.wait();
    for (size_t i = 0; i < bucket.parameters.size(); ++i) {
      Tensor& grad = parameters_[bucket.parameters[i]].mutable_grad();
      if (grad.defined())
        grad.copy_(bucket.flat.narrow(0, bucket.offsets[i], grad.numel()).view(grad.sizes()));
    }
  }
}

void check_same_weights(Precond& network, ProcessGroup& group) {
  if (group.size() == 1) return;
  std::string digests;
  const auto tensors = network.named_tensors();
  for (const auto& entry : tensors) {
    const Tensor values = entry.tensor->detach().cpu().contiguous();
    digests +=
        sha256_hex({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
  }
  const std::string expected = group.broadcast(digests);
  const size_t length = digests.size() / tensors.size();
  for (size_t i = 0; i < tensors.size(); ++i)
    if (expected.compare(i * length, length, digests, i * length, length) != 0)
      throw Error("the weights are not those of rank 0: '" + tensors[i].name +
                  "' differs; are all machines of one kind?");
}

void broadcast_weights(Precond& network, ProcessGroup& group) {
  c10::NoGradGuard no_grad;
  for (const auto& entry : network.named_tensors()) group.broadcast(entry.tensor->detach());
}

}  // namespace edm2
