// Tensors without elements: a shape, and bytes in an account for as long as one would be alive.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace edm2 {

// Bytes alive, and the most there ever were.
class MemoryAccount {
 public:
  void add(int64_t bytes) {
    live_ += bytes;
    peak_ = std::max(peak_, live_);
  }
  void remove(int64_t bytes) { live_ -= bytes; }
  int64_t peak() const { return peak_; }

 private:
  int64_t live_ = 0, peak_ = 0;
};

struct MemoryAccounts {
  MemoryAccount activations, all;
};

// Copies share the bytes, as copies of tensors do.
class ShapeTensor {
 public:
  ShapeTensor() = default;
  ShapeTensor(std::vector<int64_t> sizes, int64_t item_bytes, bool is_weight,
              const std::shared_ptr<MemoryAccounts>& accounts)
      : sizes_(std::move(sizes)),
        item_bytes_(item_bytes),
        storage_(std::make_shared<Storage>(accounts, numel() * item_bytes, is_weight)) {}

  const std::vector<int64_t>& sizes() const { return sizes_; }
  int64_t size(size_t dimension) const { return sizes_[dimension]; }
  int64_t numel() const {
    int64_t count = 1;
    for (const int64_t extent : sizes_) count *= extent;
    return count;
  }
  int64_t bytes() const { return numel() * item_bytes_; }
  int64_t item_bytes() const { return item_bytes_; }

 private:
  struct Storage {
    Storage(std::shared_ptr<MemoryAccounts> owner, int64_t count, bool weight)
        : accounts(std::move(owner)), bytes(count), is_weight(weight) {
      accounts->all.add(bytes);
      if (!is_weight) accounts->activations.add(bytes);
    }
    ~Storage() {
      accounts->all.remove(bytes);
      if (!is_weight) accounts->activations.remove(bytes);
    }
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    std::shared_ptr<MemoryAccounts> accounts;
    int64_t bytes;
    bool is_weight;
  };

  std::vector<int64_t> sizes_;
  int64_t item_bytes_ = 0;
  std::shared_ptr<Storage> storage_;
};

}  // namespace edm2
