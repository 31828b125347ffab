// Where pictures go: one class for each kind of file.
#pragma once

#include <memory>
#include <vector>

#include "edm2/generate/generate.h"

namespace edm2 {

/// Takes batches as they are made. Memory must not grow with the number of batches, but for what
/// has to be one picture in the end.
class Output {
 public:
  virtual ~Output() = default;
  virtual void add(const GeneratedBatch& batch) = 0;
  /// Makes the result appear under its name, or waits until it has. Without it (an error, an
  /// interruption) no file is left half-written.
  virtual void finish() = 0;
};

using Outputs = std::vector<std::unique_ptr<Output>>;

/// Files of one picture each: processes that share the work write their own.
Outputs make_picture_outputs(const GenerateOptions& options);

/// Files with all `count` pictures: one process adds all batches, in the order of the seeds.
Outputs make_collected_outputs(const GenerateOptions& options, int64_t count);

/// Some output needs pixels, so latents must be decoded.
bool needs_images(const GenerateOptions& options, const Encoder& encoder);

/// Makes the folders of all outputs and proves that they can be written to. Throws Error.
void prepare_output_folders(const GenerateOptions& options);

}  // namespace edm2
