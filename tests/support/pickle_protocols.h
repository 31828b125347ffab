// Pickles as other versions of Python write them.
#pragma once

#include <string>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2::test {

/// What write_pickle() has written, with the opcodes that Python uses in that protocol, 0 to 5: up
/// to protocol 2, bytes are texts that are turned into bytes; up to 1, objects come by way of
/// copyreg; in 0, numbers and texts are lines.
std::string in_protocol(const std::string& pickle, int protocol);

/// A tensor of a pickle: its place in a storage that several may share.
struct StoragePlace {
  size_t tensor = 0;   ///< the how manieth of the pickle
  size_t storage = 0;  ///< index into the storages
  int64_t offset = 0;
  std::vector<int64_t> sizes, strides;
};

/// What write_pickle() has written, with tensors moved to other storages (one-dimensional). Each
/// storage is stored where it is used first, and referred to afterwards.
std::string with_shared_storages(const std::string& pickle, const std::vector<Tensor>& storages,
                                 const std::vector<StoragePlace>& places);

}  // namespace edm2::test
