#include "train/update_kernels_impl.h"

namespace edm2::update_kernels {

int64_t update_avx512(const Parts& parts, int64_t size, const Rates& rates) {
  return update(parts, size, rates);
}

}  // namespace edm2::update_kernels
