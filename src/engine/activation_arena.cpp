#include "engine/activation_arena.h"

#include <ATen/EmptyTensor.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "edm2/core/platform.h"

namespace edm2 {

size_t plan_memory(std::vector<MemoryRequest>& requests) {
  constexpr size_t alignment = 64;
  std::vector<size_t> by_size(requests.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return requests[a].size > requests[b].size; });
  size_t total = 0;
  std::vector<const MemoryRequest*> placed, beside;
  for (const size_t i : by_size) {
    MemoryRequest& request = requests[i];
    if (request.end == 0) continue;
    beside.clear();
    for (const MemoryRequest* other : placed)
      if (other->begin < request.end && request.begin < other->end) beside.push_back(other);
    std::sort(beside.begin(), beside.end(),
              [](const auto* a, const auto* b) { return a->offset < b->offset; });
    // The first gap that is large enough.
    request.offset = 0;
    for (const MemoryRequest* other : beside) {
      if (request.offset + request.size <= other->offset) break;
      const size_t behind = (other->offset + other->size + alignment - 1) / alignment * alignment;
      request.offset = std::max(request.offset, behind);
    }
    placed.push_back(&request);
    total = std::max(total, request.offset + request.size);
  }
  return total;
}

struct ActivationArena::Plan {
  std::vector<MemoryRequest> requests;
  std::vector<uint64_t> histories;  // of the events before each of them
  size_t size = 0;
};

/// Blocks of memory that no run uses at the moment.
class ActivationArena::Blocks {
 public:
  std::unique_ptr<PageMemory> take(size_t size) {
    std::unique_ptr<PageMemory> block;
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        block = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (block && block->size() >= size) return block;
    block.reset();  // before there is another
    return std::make_unique<PageMemory>(size, PageMemory::Pages::huge);
  }
  void put_back(std::unique_ptr<PageMemory> block) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(block));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<PageMemory>> free_;
};

/// Once through the work. It lives until its last tensor is gone, which may be after the work.
class ActivationArena::Run {
 public:
  /// Without a plan, notes the requests.
  Run(std::shared_ptr<const Plan> plan, std::shared_ptr<Blocks> blocks)
      : plan_(std::move(plan)), blocks_(std::move(blocks)) {
    if (plan_) block_ = blocks_->take(plan_->size);
  }
  ~Run() {
    if (block_) blocks_->put_back(std::move(block_));
  }

  static c10::DataPtr allocate(const std::shared_ptr<Run>& run, size_t size) {
    const std::lock_guard lock(run->mutex_);
    return run->plan_ ? run->place(run, size) : run->note(run, size);
  }

  /// The work has ended. The plan for the next time, if this one has noted it.
  std::shared_ptr<const Plan> finish() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    if (plan_) return nullptr;
    noted_.size = plan_memory(noted_.requests);
    return std::make_shared<const Plan>(std::move(noted_));
  }
  bool left_plan() const { return left_plan_; }
  int64_t planned_requests() const { return planned_requests_; }

 private:
  /// What a tensor's memory belongs to.
  struct Handle {
    std::shared_ptr<Run> run;
    size_t index;
    std::unique_ptr<PageMemory> own;  // if it was only noted
  };

  c10::DataPtr note(const std::shared_ptr<Run>& run, size_t size) {
    const size_t index = noted_.requests.size();
    noted_.requests.push_back({size, ++clock_, 0, 0});
    noted_.histories.push_back(history_);
    pass(index);
    // Not from malloc, which would keep it.
    auto own = std::make_unique<PageMemory>(size);
    void* const data = own->data();
    return owned_by(new Handle{run, index, std::move(own)}, data);
  }

  c10::DataPtr place(const std::shared_ptr<Run>& run, size_t size) {
    left_plan_ = left_plan_ || next_ >= plan_->requests.size() ||
                 plan_->requests[next_].size != size || plan_->histories[next_] != history_;
    if (left_plan_) return c10::GetCPUAllocator()->allocate(size);
    const size_t index = next_++;
    const MemoryRequest& request = plan_->requests[index];
    pass(index);
    if (request.end == 0) return c10::GetCPUAllocator()->allocate(size);
    ++planned_requests_;
    return owned_by(new Handle{run, index, {}}, block_->data() + request.offset);
  }

  static c10::DataPtr owned_by(Handle* handle, void* data) {
    return {data, handle, &release, c10::Device(c10::kCPU)};
  }

  static void release(void* context) {
    const std::unique_ptr<Handle> handle(static_cast<Handle*>(context));
    Run& run = *handle->run;
    const std::lock_guard lock(run.mutex_);
    if (run.ended_) return;
    run.pass(~handle->index);
    if (!run.plan_) run.noted_.requests[handle->index].end = ++run.clock_;
  }

  /// Two runs with the same history have had the same events in the same order.
  void pass(uint64_t event) {
    history_ = (history_ ^ event) * 0x9e3779b97f4a7c15u + 1;
    history_ ^= history_ >> 29;
  }

  std::mutex mutex_;
  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<Blocks> blocks_;
  std::unique_ptr<PageMemory> block_;
  Plan noted_;
  uint64_t history_ = 0;
  int64_t clock_ = 0, planned_requests_ = 0;
  size_t next_ = 0;
  bool left_plan_ = false, ended_ = false;
};

/// For empty() only.
class ActivationArena::Allocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t size) override {
    if (!current || size == 0) return c10::GetCPUAllocator()->allocate(size);
    return Run::allocate(*current, size);
  }
  void copy_data(void* to, const void* from, size_t size) const override {
    default_copy_data(to, from, size);
  }

  static thread_local const std::shared_ptr<Run>* current;  // of run(), or null
};

thread_local const std::shared_ptr<ActivationArena::Run>* ActivationArena::Allocator::current =
    nullptr;

Tensor ActivationArena::empty(at::IntArrayRef sizes, c10::ScalarType type, at::MemoryFormat order) {
  static Allocator* const allocator = new Allocator;  // tensors need it to the very end
  return at::detail::empty_generic(sizes, allocator, c10::DispatchKeySet(c10::DispatchKey::CPU),
                                   type, order);
}

std::shared_ptr<ActivationArena::Blocks> ActivationArena::shared_blocks() {
  static std::mutex mutex;
  static std::weak_ptr<Blocks> shared;
  const std::lock_guard lock(mutex);
  auto blocks = shared.lock();
  if (!blocks) shared = blocks = std::make_shared<Blocks>();
  return blocks;
}

ActivationArena::ActivationArena() : blocks_(shared_blocks()) {}
ActivationArena::~ActivationArena() = default;

void ActivationArena::run(int64_t key, const std::function<void()>& work) {
  std::shared_ptr<const Plan> plan;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = plans_.find(key); found != plans_.end()) plan = found->second;
  }
  const auto run = std::make_shared<Run>(plan, blocks_);
  const auto* const outer = std::exchange(Allocator::current, &run);
  try {
    work();
  } catch (...) {
    Allocator::current = outer;
    run->finish();
    throw;
  }
  Allocator::current = outer;
  const auto noted = run->finish();
  const std::lock_guard lock(mutex_);
  planned_requests_ += run->planned_requests();
  if (noted) plans_.try_emplace(key, noted);
  // The work has changed: note it anew the next time. Others may have found that out already.
  if (const auto known = plans_.find(key);
      run->left_plan() && known != plans_.end() && known->second == plan)
    plans_.erase(known);
}

int64_t ActivationArena::planned_requests() const {
  const std::lock_guard lock(mutex_);
  return planned_requests_;
}

}  // namespace edm2
