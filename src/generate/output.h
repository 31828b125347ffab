// Where pictures go: one class for each kind of file.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "edm2/generate/generate.h"
#include "edm2/io/image.h"

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

/// Files of one picture each: processes that share the work write their own. `parameters`: what
/// PNG files say of the run (run_parameters()), null for nothing.
Outputs make_picture_outputs(const GenerateOptions& options,
                             const nlohmann::ordered_json& parameters);

/// Files with the pictures of all options.seeds: one process adds all batches, in that order.
Outputs make_collected_outputs(const GenerateOptions& options,
                               const nlohmann::ordered_json& parameters);

/// --trajectory-grid, one of these.
std::unique_ptr<Output> make_trajectory_grid(const GenerateOptions& options, PngText text);

/// The text of a PNG file with the pictures of all seeds; none if `parameters` is null.
PngText sheet_text(const GenerateOptions& options, const nlohmann::ordered_json& parameters);

/// Stages of the denoising that the options ask for; 0 = none.
int64_t wanted_frames(const GenerateOptions& options);
/// By the ending: .webp or .png.
TrajectoryFormat trajectory_grid_format(const std::filesystem::path& path);

/// Some output needs pixels, so latents must be decoded.
bool needs_images(const GenerateOptions& options);

/// A file or a folder that the options name, and the option that does.
struct NamedOutput {
  std::string option;
  std::filesystem::path path;
};
/// All files (not folders) of the options.
std::vector<NamedOutput> output_files(const GenerateOptions& options);
/// Where --preview writes to.
std::filesystem::path preview_path(const GenerateOptions& options);

/// Throws UsageError if the options that say what to write are not usable together: nothing to
/// write, one file for two things, a name whose ending promises another format, ...
void validate_outputs(const GenerateOptions& options);
/// Makes the folders of all outputs and proves that they can be written to. Throws Error.
void prepare_output_folders(const GenerateOptions& options);

}  // namespace edm2
