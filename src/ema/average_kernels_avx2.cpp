#include "ema/average_kernels_impl.h"

namespace edm2::average_kernels {

void update_avx2(const float* value, const Averages& averages, int64_t size) {
  update(value, averages, size);
}

}  // namespace edm2::average_kernels
