/// From snapshots and seeds to files: what `edm2 generate` does.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/core/progress.h"
#include "edm2/generate/sampler.h"
#include "edm2/io/source.h"

namespace edm2 {

struct GenerateOptions {
  std::string net;                   ///< main network: source text for load_network_source()
  std::optional<std::string> gnet;   ///< guiding network, likewise
  FetchOptions fetch;                ///< how networks are downloaded
  std::vector<int64_t> seeds;        ///< one image each
  std::optional<int64_t> class_idx;  ///< none: the class is drawn from the seed
  int64_t max_batch_size = 32;       ///< images sampled together, >= 1
  SamplerOptions sampler;
  std::string device = "auto";
  Precision precision = Precision::automatic;

  std::optional<std::filesystem::path> outdir;  ///< where PNG files go; none = not written
  bool subdirs = false;                         ///< one folder per 1000 seeds
  std::optional<std::filesystem::path> grid;    ///< one PNG with all images
  int64_t grid_columns = 0;                     ///< 0: about square
  std::optional<std::filesystem::path> npz;     ///< images, labels, seeds and latents as arrays
};

/// Throws UsageError or Error if the numbers cannot be used.
void validate(const GenerateOptions& options);

/// The whole job. Everything is checked before the first file is written. Throws Error,
/// Interrupted.
void generate_images(const GenerateOptions& options, Progress& progress);

/// "000123.png", or "000000/000123.png" with subdirs.
std::string image_file_name(int64_t seed, bool subdirs);

}  // namespace edm2
