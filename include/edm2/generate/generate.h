/// From snapshots and seeds to files: what `edm2 generate` does.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/generate/sampler.h"
#include "edm2/io/source.h"
#include "edm2/nn/stored_snapshot.h"

namespace edm2 {

/// How the stages of the denoising are put into one file.
enum class TrajectoryFormat {
  webp,   ///< an animation
  strip,  ///< a PNG with the stages side by side
};

/// What is drawn, and what is written.
struct GenerateOptions {
  NamedSource net;                   ///< main network, as load_network_source() takes it
  std::optional<NamedSource> gnet;   ///< guiding network, likewise
  FetchOptions fetch;                ///< how networks are downloaded
  std::vector<int64_t> seeds;        ///< one image each
  std::optional<int64_t> class_idx;  ///< none: the class is drawn from the seed
  /// Instead of a class: the label of all pictures, or a file or dataset with labels (path or
  /// address) of which the picture of seed s gets number s modulo their count. Networks that were
  /// trained on label vectors need one of them.
  std::optional<std::vector<double>> label_vector;
  std::optional<NamedSource> labels;
  int64_t max_batch_size = 32;  ///< images sampled together, >= 1
  SamplerOptions sampler;
  std::string device = "auto";
  Precision precision = Precision::automatic;
  EngineKind engine = EngineKind::automatic;

  /// The VAE of latent networks: EncoderSetup.vae. Not read if no pictures are to be written.
  NamedSource vae;
  int64_t encoder_batch_size = 4;  ///< latents decoded together, >= 1

  std::optional<std::filesystem::path> outdir;  ///< where PNG files go; none = not written
  bool subdirs = false;                         ///< one folder per 1000 seeds
  bool metadata = true;  ///< PNG files say how they were made (under parameters_keyword)
  bool resume = false;   ///< keep the pictures that are already in outdir, draw the others

  std::optional<std::filesystem::path> grid;     ///< one PNG with all images
  int64_t grid_columns = 0;                      ///< 0: about square
  std::optional<std::filesystem::path> npz;      ///< images, labels, seeds and latents as arrays
  std::optional<std::filesystem::path> latents;  ///< latents, labels, seeds: .npz or .safetensors

  /// The stages of every denoising beside the pictures in outdir: see trajectory_file_name().
  std::optional<TrajectoryFormat> trajectory;
  /// All of them in one file: an animated contact sheet (.webp), or a row for each seed (.png).
  std::optional<std::filesystem::path> trajectory_grid;
  int64_t trajectory_frames = 0;  ///< stages; 0: 16 in animations, 8 in strips

  int64_t preview_every = 0;  ///< > 0: every so many steps write the batch's estimated pictures
  std::optional<std::filesystem::path> preview_file;  ///< none: preview.png in outdir
};

/// Keyword of the text in PNG files that says how they were made: a JSON object with the seed, the
/// class, the networks (name and SHA-256) and the sampler's options.
inline constexpr char parameters_keyword[] = "edm2";

/// Throws UsageError or Error if the options cannot be used, alone or together.
void validate(const GenerateOptions& options);

/// Throws UsageError or Error if what decides over the pictures cannot be used: batch sizes,
/// sampler, guidance, class. Part of validate().
void validate_sampling(const GenerateOptions& options);

/// Called with each network, "net" or "gnet", before it is set up: its weights may be in their file
/// still, and may be replaced by the same in memory.
using NetworkCallback = std::function<void(const std::string& role, StoredSnapshot& network)>;

/// The networks and the encoder that the options name, ready to draw; tells what it loads. Seeds do
/// not matter; the VAE of a latent network is loaded at once if the options have outputs with
/// pictures. `progress` must outlive the sampler, which warns of pictures that are not finite.
/// Throws Error, UsageError, Interrupted.
Sampler load_sampler(const GenerateOptions& options, Progress& progress,
                     const NetworkCallback& on_network = {});

/// The whole job, shared by the processes of `group`: each writes its own pictures; the first one
/// loads (and downloads) first, and writes what holds all pictures. Everything is checked before
/// the first file is written. Memory does not grow with the number of seeds, but for the pixels of
/// `grid` and `trajectory_grid`. Throws Error, Interrupted, GroupError; files are whole or absent
/// even then.
void generate_images(const GenerateOptions& options, Progress& progress, ProcessGroup& group);
/// By this process alone.
void generate_images(const GenerateOptions& options, Progress& progress);

/// "000123.png", or "000000/000123.png" with subdirs.
std::string image_file_name(int64_t seed, bool subdirs);
/// "000123-steps.webp" or "000123-steps.png", with subdirs as above.
std::string trajectory_file_name(int64_t seed, bool subdirs, TrajectoryFormat format);

}  // namespace edm2
