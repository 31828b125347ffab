#include "generate/output.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "edm2/core/error.h"
#include "edm2/data/file_source.h"
#include "edm2/io/atomic_file.h"
#include "generate/parameters.h"

namespace edm2 {
namespace fs = std::filesystem;

PngText sheet_text(const GenerateOptions& options, const nlohmann::ordered_json& parameters) {
  if (parameters.is_null()) return {};
  return {{parameters_keyword, sheet_parameters(parameters, options.seeds)}};
}

bool needs_images(const GenerateOptions& options) {
  return options.outdir || options.grid || options.npz || options.trajectory_grid;
}

int64_t wanted_frames(const GenerateOptions& options) {
  if (!options.trajectory && !options.trajectory_grid) return 0;
  if (options.trajectory_frames > 0) return options.trajectory_frames;
  const TrajectoryFormat format =
      options.trajectory ? *options.trajectory : trajectory_grid_format(*options.trajectory_grid);
  return format == TrajectoryFormat::webp ? 16 : 8;
}

fs::path preview_path(const GenerateOptions& options) {
  return options.preview_file ? *options.preview_file : *options.outdir / "preview.png";
}

std::vector<NamedOutput> output_files(const GenerateOptions& options) {
  std::vector<NamedOutput> files;
  const auto add = [&](const std::string& option, const std::optional<fs::path>& path) {
    if (path) files.push_back({option, *path});
  };
  add("--grid", options.grid);
  add("--npz", options.npz);
  add("--latents", options.latents);
  add("--trajectory-grid", options.trajectory_grid);
  if (options.preview_every > 0)
    files.push_back({options.preview_file ? "--preview-file" : "--preview", preview_path(options)});
  return files;
}

TrajectoryFormat trajectory_grid_format(const fs::path& path) {
  return lower_extension(path.string()) == ".webp" ? TrajectoryFormat::webp
                                                   : TrajectoryFormat::strip;
}

void prepare_output_folders(const GenerateOptions& options) {
  if (options.outdir) prepare_output_folder(*options.outdir);
  for (const NamedOutput& file : output_files(options)) {
    std::error_code error;
    if (fs::is_directory(file.path, error))
      throw Error("'" + file.path.string() + "' is a folder; choose another " + file.option);
    prepare_output_folder(fs::absolute(file.path).parent_path(), file.option);
  }
}

}  // namespace edm2
