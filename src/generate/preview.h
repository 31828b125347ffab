// Pictures of what is being drawn.
#pragma once

#include <filesystem>

#include "edm2/data/encoder.h"
#include "edm2/diffusion/sampler.h"

namespace edm2 {

/// Every `every` steps, and after the last one, writes a contact sheet of the estimates of the
/// current batch. The file is replaced as a whole, so a viewer never sees half of it.
class Preview {
 public:
  Preview(std::filesystem::path file, int64_t every, int64_t num_steps, const Encoder& encoder)
      : file_(std::move(file)), every_(every), num_steps_(num_steps), encoder_(encoder) {}

  void after_step(const SamplerStep& step) const;

 private:
  std::filesystem::path file_;
  int64_t every_, num_steps_;
  const Encoder& encoder_;
};

}  // namespace edm2
