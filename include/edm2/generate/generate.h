/// From snapshots and seeds to pictures: what `edm2 generate` does.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/core/progress.h"
#include "edm2/data/encoder.h"
#include "edm2/diffusion/sampler.h"

namespace edm2 {

struct GenerateOptions {
  std::filesystem::path net;                  ///< main network's snapshot
  std::optional<std::filesystem::path> gnet;  ///< guiding network's snapshot
  std::vector<int64_t> seeds;                 ///< one image each
  std::optional<int64_t> class_idx;           ///< none: the class is drawn from the seed
  int64_t max_batch_size = 32;                ///< images sampled together, >= 1
  SamplerOptions sampler;
  std::string device = "auto";
  Precision precision = Precision::automatic;

  std::optional<std::filesystem::path> outdir;  ///< where PNG files go; none = not written
  bool subdirs = false;                         ///< one folder per 1000 seeds
  std::optional<std::filesystem::path> grid;    ///< one PNG with all images
  int64_t grid_columns = 0;                     ///< 0: about square
  std::optional<std::filesystem::path> npz;     ///< images, labels, seeds and latents as arrays
};

/// Images of one batch, as they come out of the sampler.
struct GeneratedBatch {
  std::vector<int64_t> seeds;
  Tensor noise;    ///< [N,C,H,W] float32
  Tensor labels;   ///< [N,K] float32, or undefined for unconditional networks
  Tensor latents;  ///< [N,C,H,W] float32
  Tensor images;   ///< [N,3,H',W'] uint8; undefined if only latents were asked for
};

/// Draws pictures for the seeds of one batch. Each image depends on its seed alone: the draws are
/// noise [C,H,W], then the class (also when one is forced), then churn noise.
GeneratedBatch generate_batch(Denoiser& net, Denoiser& gnet, const Encoder& encoder,
                              std::span<const int64_t> seeds, std::optional<int64_t> class_idx,
                              const SamplerOptions& sampler, bool decode = true,
                              const StepCallback& on_step = {});

/// Consecutive parts, as even as possible, of `count` seeds in batches of at most `max_batch_size`:
/// [begin, end) pairs.
std::vector<std::pair<int64_t, int64_t>> split_batches(int64_t count, int64_t max_batch_size);

/// Throws UsageError or Error if the numbers cannot be used.
void validate(const GenerateOptions& options);

/// The whole job. Everything is checked before the first file is written. Throws Error,
/// Interrupted.
void generate_images(const GenerateOptions& options, Progress& progress);

/// "000123.png", or "000000/000123.png" with subdirs.
std::string image_file_name(int64_t seed, bool subdirs);

}  // namespace edm2
