// Tiny networks and datasets for tests of the program.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "edm2/nn/autoencoder_kl.h"
#include "edm2/nn/network.h"

namespace edm2::test {

/// RGB, two levels with one block each, attention at the lower one (two heads).
NetworkOptions tiny_options(int64_t label_dim, int64_t resolution = 8, int64_t channels = 16);

/// A tiny network with untrained weights drawn from `seed`, and gains that let it do something.
Snapshot small_snapshot(int64_t label_dim, uint64_t seed = 7, int64_t resolution = 16);

/// Fills a new folder with the snapshots of a run of `times` kimg, after each kimg one of the EMA
/// width 0.05 and one of 0.1: small_snapshot(3, 1), (3, 2), ... Returns them in this order.
std::vector<Snapshot> write_snapshots(const std::filesystem::path& folder, int times,
                                      SnapshotFormat format = SnapshotFormat::pickle);

/// Random tensors of one type for these options, and something in every other member.
Snapshot random_snapshot(const NetworkOptions& options, at::ScalarType dtype = at::kHalf);

/// One line a tensor, in order: name, type, shape ("3x4", "scalar"), CRC-32 of the bytes.
std::vector<std::string> describe_tensors(const Snapshot& snapshot);

/// Options, tensors (bit for bit, with their types) and everything else.
void expect_same_snapshot(const Snapshot& a, const Snapshot& b);

/// The options of a VAE of three levels (pictures of 4 times the latents' size).
AutoencoderOptions small_autoencoder_options();

/// Random weights drawn from `seed`, of a magnitude that keeps activations near 1.
AutoencoderWeights small_autoencoder(const AutoencoderOptions& options, uint64_t seed = 3);

/// config.json and diffusion_pytorch_model.safetensors.
void write_autoencoder(const std::filesystem::path& folder, const AutoencoderWeights& weights);

/// A folder of ten 8x8 RGB images (.npy) in three classes: the data of the specification's
/// end-to-end answer.
void write_small_dataset(const std::filesystem::path& folder);

/// A folder with those images [N,C,H,W], uint8 or float32, as .npy files. `labels`: JSON, one for
/// each image (a class or a list of numbers); null for none.
void write_dataset(const std::filesystem::path& folder, const Tensor& images,
                   const nlohmann::json& labels);

}  // namespace edm2::test
