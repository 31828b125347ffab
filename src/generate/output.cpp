#include "generate/output.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <system_error>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "generate/parameters.h"

namespace edm2 {
namespace fs = std::filesystem;

Outputs make_picture_outputs(const GenerateOptions& options,
                             const nlohmann::ordered_json& parameters) {
  Outputs outputs;
  if (options.outdir) outputs.push_back(make_png_files(options, parameters));
  if (options.trajectory) outputs.push_back(make_trajectory_files(options, parameters));
  return outputs;
}

Outputs make_collected_outputs(const GenerateOptions& options,
                               const nlohmann::ordered_json& parameters) {
  Outputs outputs;
  if (options.seeds.empty()) return outputs;
  if (options.grid && !options.resume)  // resumed runs make it from the files
    outputs.push_back(make_grid_file(options, parameters));
  if (options.npz) outputs.push_back(make_npz_file(options));
  if (options.latents) outputs.push_back(make_latents_file(options, parameters));
  if (options.trajectory_grid) outputs.push_back(make_trajectory_grid(options, parameters));
  return outputs;
}

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
  return has_extension(path, ".webp") ? TrajectoryFormat::webp : TrajectoryFormat::strip;
}

bool has_extension(const fs::path& path, const std::string& extension) {
  std::string own = path.extension().string();
  std::transform(own.begin(), own.end(), own.begin(),
                 [](char c) { return static_cast<char>(std::tolower(static_cast<uint8_t>(c))); });
  return own == extension;
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
