/// Datasets of VAE latents made from datasets of pictures, and back (`edm2 dataset encode` and
/// `decode`).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/core/progress.h"
#include "edm2/data/source_options.h"
#include "edm2/io/source.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

/// What latents are made from, or pictures are made from latents.
struct LatentOptions {
  SourceOptions source;
  std::string dest;                        ///< ".zip" makes an archive, anything else a folder
  std::optional<int64_t> max_images = {};  ///< at least 1
  /// The VAE: a name on the Hugging Face hub, or a folder, file or address.
  std::string vae = "stabilityai/sd-vae-ft-mse";
  OnError on_error = OnError::stop;
  /// Encoding: adds mean and deviation of the latents to dataset.json.
  bool measure = false;
  /// Decoding: picture i of the dataset is a sample drawn with the seed `seed` + i.
  int64_t seed = 0;
  std::string device = "auto";
  FetchOptions fetch;
};

/// What encode and decode have made.
struct LatentResult {
  int64_t written = 0;                ///< items of the finished dataset
  int64_t kept = 0;                   ///< of them, those that an interrupted run had made
  std::vector<FileProblem> problems;  ///< left out because of OnError::skip
};

/// Encodes every picture (as RGB; its sides must be multiples of 8) and writes
/// "img-mean-std-NNNNNNNN.npy": float32 [8,H/8,W/8], means and deviations of the VAE's latents;
/// then the labels. Pictures are encoded one by one and shared out among the processes, so that the
/// result does not depend on their number. Finished items wait in the folder DEST.partial (a
/// temporary second copy of all of them), where the same call finds them after an interruption; the
/// destination then gets the same bytes as without one. Only the first process returns problems.
/// Throws Error, UsageError, GroupError, Interrupted.
LatentResult encode_dataset(const LatentOptions& options, Progress& progress, ProcessGroup& group);

/// The way back: draws latents from the statistics in each .npy file, decodes them and writes
/// "imgNNNNNNNN.png". Otherwise as encode_dataset.
LatentResult decode_dataset(const LatentOptions& options, Progress& progress, ProcessGroup& group);

/// Mean and deviation of each channel of a dataset's latents, over all items and positions, noise
/// of the VAE included.
struct LatentStatistics {
  int64_t images = 0;
  std::vector<double> mean, std;
};

/// What encode_dataset has measured: key "latent_statistics" of dataset.json in the folder or zip
/// archive; none if it is not there. Throws Error if it makes no sense.
std::optional<LatentStatistics> read_latent_statistics(const std::filesystem::path& dataset);

/// The same VAE with its latents mapped to mean 0 and deviation 0.5 by these statistics (instead of
/// those of ImageNet): scale = 0.5 / std, bias = -mean * scale.
EncoderOptions with_statistics(EncoderOptions vae, const LatentStatistics& statistics);

/// For training on the dataset: uses its own statistics if it has some and the encoder is the VAE;
/// otherwise the encoder as it is.
EncoderOptions with_measured_statistics(EncoderOptions encoder,
                                        const std::filesystem::path& dataset);

}  // namespace edm2
