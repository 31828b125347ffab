// Gradients averaged over processes while the backward pass still computes others.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/nn/network.h"

namespace edm2 {

/// Every process's gradient is multiplied by 1/W, then they are summed, as in the original.
///
/// Parameters travel in buckets, last ones first, because their gradients are ready first. Buckets
/// are sent in a fixed order, so the result does not depend on timing.
class GradientAverage {
 public:
  /// `network` and `group` must outlive this; the network's tensors must stay where they are.
  /// Nothing happens in a group of one.
  GradientAverage(Precond& network, ProcessGroup& group, int64_t bucket_bytes = 25 << 20);
  ~GradientAverage();
  GradientAverage(const GradientAverage&) = delete;
  GradientAverage& operator=(const GradientAverage&) = delete;

  /// The next backward pass is the step's last one: what it finishes is sent off. Gradients of
  /// passes before it are only accumulated.
  void begin();
  /// After that pass. All gradients hold the average then. Throws GroupError.
  void finish();

 private:
  struct Bucket {
    std::vector<size_t> parameters;
    std::vector<int64_t> offsets;  // of each in `flat`
    Tensor flat;                   // 1-D
    size_t missing = 0;            // gradients that are not ready yet
    ProcessGroup::Reduction sum;
  };
  struct Hook;

  void make_buckets(int64_t bucket_bytes);
  void ready(size_t parameter);
  void send(Bucket& bucket);

  ProcessGroup& group_;
  std::vector<Tensor> parameters_;
  std::vector<size_t> bucket_of_;  // by parameter
  std::vector<Bucket> buckets_;
  std::mutex mutex_;  // on CUDA the backward pass has threads of its own
  bool sending_ = false;
  size_t next_ = 0;  // first bucket that is not sent
};

/// All processes have the same parameters and buffers, bit for bit; throws Error that names the
/// first that differs from the first process's.
void check_same_weights(Precond& network, ProcessGroup& group);

/// Gives all processes the first one's parameters and buffers.
void broadcast_weights(Precond& network, ProcessGroup& group);

}  // namespace edm2
