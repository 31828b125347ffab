#include "generate/preview.h"

#include <ATen/ATen.h>

#include "data/contact_sheet.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"

namespace edm2 {

void Preview::after_step(const SamplerStep& step) const {
  const int64_t done = step.step + 1;
  if (done % every_ != 0 && done != num_steps_) return;
  ContactSheet sheet(step.denoised.size(0), 0);
  sheet.add(encoder_.decode_preview(step.denoised.to(at::kFloat)));
  write_file(file_, encode_png(sheet.image(), png_for_photographs));
}

}  // namespace edm2
