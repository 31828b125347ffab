// Are the options that say what to write usable together?
#include <system_error>

#include "edm2/core/error.h"
#include "edm2/data/file_source.h"
#include "generate/output.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  const auto whole = [&](const fs::path& path) {
    return fs::weakly_canonical(fs::absolute(path, error), error);
  };
  return !a.empty() && !b.empty() && whole(a) == whole(b) && !error;
}

void check_names(const GenerateOptions& options) {
  std::vector<NamedOutput> taken = {{"--net", options.net.text()}};
  if (options.gnet) taken.push_back({"--gnet", options.gnet->text()});
  for (const NamedOutput& file : output_files(options)) {
    if (file.path.empty()) throw UsageError(file.option + " needs the name of a file");
    for (const NamedOutput& other : taken)
      if (same_file(file.path, other.path))
        throw UsageError(other.option + " and " + file.option + " name the same file, '" +
                         file.path.string() + "'; give them different names");
    taken.push_back(file);
    if (!options.outdir) continue;
    for (const int64_t seed : options.seeds) {
      const fs::path picture = image_file_name(seed, options.subdirs);
      if (picture.filename() == file.path.filename() &&
          same_file(file.path, *options.outdir / picture))
        throw UsageError(file.option + " names the file of seed " + std::to_string(seed) + ", '" +
                         file.path.string() + "'; give it another name");
    }
  }
}

/// A wrong ending would surprise whoever opens the file.
void check_ending(const std::string& option, const std::optional<fs::path>& path,
                  std::initializer_list<const char*> endings) {
  if (!path) return;
  std::string wanted;
  for (const char* ending : endings) {
    if (lower_extension(path->string()) == ending) return;
    wanted += (wanted.empty() ? "" : " or ") + std::string(ending);
  }
  throw UsageError("the name of " + option + " must end with " + wanted + ", unlike '" +
                   path->string() + "'");
}

void check_trajectory(const GenerateOptions& options) {
  if (options.trajectory && !options.outdir)
    throw UsageError(
        "--trajectory needs --outdir; for one file with all pictures there is "
        "--trajectory-grid");
  if (options.trajectory_frames < 0) throw UsageError("--trajectory-frames must be at least 1");
  if (options.trajectory_frames > 0 && !options.trajectory && !options.trajectory_grid)
    throw UsageError("--trajectory-frames needs --trajectory or --trajectory-grid");
}

void check_preview(const GenerateOptions& options) {
  if (options.preview_every < 0) throw UsageError("--preview must be at least 1");
  if (options.preview_file && options.preview_every == 0)
    throw UsageError("--preview-file needs --preview");
  if (options.preview_every > 0 && !options.preview_file && !options.outdir)
    throw UsageError("--preview needs --preview-file or --outdir");
}

void check_resume(const GenerateOptions& options) {
  if (!options.resume) return;
  if (!options.outdir) throw UsageError("--resume needs --outdir, where the pictures are");
  for (const auto& [option, path] :
       {std::pair("--npz", options.npz), std::pair("--latents", options.latents),
        std::pair("--trajectory-grid", options.trajectory_grid)})
    if (path)
      throw UsageError(std::string(option) +
                       " cannot be filled with --resume, because finished "
                       "pictures do not hold what belongs in it; leave one of them out");
}

}  // namespace

void validate_outputs(const GenerateOptions& options) {
  if (!options.outdir && !options.grid && !options.npz && !options.latents &&
      !options.trajectory_grid)
    throw UsageError("nothing would be written; give --outdir, --grid, --npz or --latents");
  if (options.outdir && options.outdir->empty()) throw UsageError("--outdir needs a folder");
  if (options.grid_columns < 0) throw UsageError("--grid-columns must be at least 0");
  check_preview(options);
  check_trajectory(options);
  check_resume(options);
  check_names(options);
  check_ending("--grid", options.grid, {".png"});
  check_ending("--latents", options.latents, {".npz", ".safetensors"});
  check_ending("--npz", options.npz, {".npz"});
  check_ending("--trajectory-grid", options.trajectory_grid, {".webp", ".png"});
  check_ending("--preview-file", options.preview_file, {".png"});
}

}  // namespace edm2
