// Memory for the tensors of an evaluation, planned once and used again by every later one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2 {

/// When, between the other requests of some work, memory was asked for and given back.
struct MemoryRequest {
  size_t size = 0;
  int64_t begin = 0, end = 0;  ///< of the work's events; no end: it outlives the work
  size_t offset = 0;           ///< in the block, if it has an end
};

/// Gives the requests that have an end places at which those that are there at the same time do not
/// overlap, largest first; at multiples of 64. Returns the size of the block.
size_t plan_memory(std::vector<MemoryRequest>& requests);

/// Where tensors lie that some work makes and lets go of again.
///
/// The first time that the work is done, its requests for memory are only noted. From then on they
/// get their planned places in one block of memory, so that nothing is allocated, as many bytes are
/// touched as are needed at one time, and these stay in the cache. What outlives the work comes
/// from libtorch's allocator, and so does everything from the moment on when the work asks for
/// something else than it did the first time; it is noted anew then.
class ActivationArena {
 public:
  ActivationArena();
  ~ActivationArena();

  /// Calls work(), in which empty() takes memory from this arena. Work of the same key asks for the
  /// same memory each time. Several threads may do so at the same time.
  void run(int64_t key, const std::function<void()>& work);

  /// A tensor on the CPU, from the arena that this thread is in run() of, or as at::empty().
  static Tensor empty(at::IntArrayRef sizes, c10::ScalarType type, at::MemoryFormat order);

  /// How many requests got planned places so far.
  int64_t planned_requests() const;

 private:
  struct Plan;
  class Run;
  class Blocks;
  class Allocator;

  static std::shared_ptr<Blocks> shared_blocks();

  std::shared_ptr<Blocks> blocks_;  // of all arenas: networks take turns
  mutable std::mutex mutex_;
  std::map<int64_t, std::shared_ptr<const Plan>> plans_;
  int64_t planned_requests_ = 0;
};

}  // namespace edm2
