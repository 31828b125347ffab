/// Training settings chosen for a dataset and a machine (`edm2 train --auto`).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "edm2/core/process_group.h"
#include "edm2/train/trainer.h"

namespace edm2 {

/// Options that the user has given: they are not chosen, but what is chosen follows from them.
struct GivenOptions {
  bool duration = false, batch = false, lr = false, decay = false, rampup = false,
       batch_gpu = false, status = false, snapshot = false, checkpoint = false;
};

/// Scales a preset, which is made for ImageNet (N0 = 1281167 images), to a dataset of N images:
///
///   - duration D = D0 * min(N/N0, 1): as many passes over the data; at least 1 Mi images;
///   - batch B = B0 * sqrt(D/D0), at most B0: a shorter run has fewer and smaller steps, by the
///   same factor; a
///     power of two for each process, at least 32 images in all;
///   - learning rate = lr0 * sqrt(B/B0): Adam's steps turn weights of fixed length by an angle, and
///     random turns add up by their squares, so that an image turns them as before (the square root
///     rule, arXiv 2205.10287);
///   - decay t_ref, in batches, and ramp-up: at the same part of the run (arXiv 2312.02696, Eq. 67:
///     the rate falls as 1/sqrt(t) from there on, so t_ref belongs to the length of the run);
///   - status, snapshots, checkpoints: as many as in the preset's run.
///
/// `options` holds the preset with what is given in its place. Returns a sentence for each choice.
std::vector<std::string> scale_to_dataset(TrainOptions& options, const TrainOptions& preset,
                                          const GivenOptions& given, int64_t images, int processes);

/// Measures steps and sets options().batch_gpu to the largest power of two that divides a process's
/// share of the batch, whose memory fits into `memory_limit` bytes a process (0: 90% of what a CUDA
/// device has left, 70% of the machine's free memory, divided by the processes on it), and that is
/// not slower (by more than 5%) for an image than a smaller one. After load_data(). On the CPU
/// nothing is tried beyond the size whose pass takes 4 seconds. Throws Error if not even one image
/// fits. Returns a sentence.
std::string choose_batch_gpu(Trainer& trainer, ProcessGroup& group, double memory_limit = 0);

/// A run that has begun keeps what was chosen for it: takes that from its training_options.json.
/// Throws Error if that run was begun otherwise.
std::string take_earlier_choices(TrainOptions& options, const GivenOptions& given,
                                 const nlohmann::json& training_options);

}  // namespace edm2
