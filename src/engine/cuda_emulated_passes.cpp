#include <c10/util/Half.h>

#include "engine/cuda_passes.h"

namespace edm2::cuda_passes {

template <>
struct Number<c10::Half> {
  static float read(c10::Half x) { return static_cast<float>(x); }
  static c10::Half round(float x) { return static_cast<c10::Half>(x); }
};

namespace {

template <class Pass>
struct AllItems {
  const Pass& pass;

  template <class T, int Width>
  void operator()() const {
    for (int64_t item = 0; item < items(pass); ++item) apply<T, Width>(pass, item, Alone{});
  }
};

struct OnCpu {
  template <class Pass>
  static void run(const Pass& pass, ElementType type, void*) {
    with_type<c10::Half>(pass, type, AllItems<Pass>{pass});
  }
};

}  // namespace

const Passes& emulated() {
  static constexpr Passes passes = make_passes<OnCpu>();
  return passes;
}

}  // namespace edm2::cuda_passes
