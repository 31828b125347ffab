// Short training runs of tiny networks.
#pragma once

#include <filesystem>
#include <memory>

#include "edm2/nn/snapshot.h"
#include "edm2/train/trainer.h"

namespace edm2::test {

/// A tiny network for pictures of 8x8 on the CPU, with labels if label_dim > 0; without status
/// lines, snapshots and training states.
TrainOptions small_training(const std::filesystem::path& data, const std::filesystem::path& outdir,
                            int64_t label_dim = 3);

/// Trains to the end and tells nothing.
std::unique_ptr<Trainer> train(const TrainOptions& options);

/// Names and values, bit for bit.
bool same_state(const StateDict& a, const StateDict& b);

}  // namespace edm2::test
