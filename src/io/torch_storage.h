// The storages of a torch.save stream, as its persistent ids name them.
#pragma once

#include "io/pickle_machine.h"

namespace edm2::detail {

// ('storage', class, key, location, numel[, view]): what pickles of torch put in place of a
// storage.
struct StorageId {
  std::string key;
  at::ScalarType dtype = at::kByte;
  bool untyped = false;
  int64_t numel = 0;
  // Part of the storage (legacy only).
  bool is_view = false;
  int64_t view_offset = 0, view_numel = 0;
};

StorageId parse_storage_id(const PickleValue& id);

}  // namespace edm2::detail
