// Random numbers of the images that a process takes in one forward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "edm2/core/process_group.h"
#include "train/objective.h"

namespace edm2 {

/// Places in the run, counted from 0, of the images that this process takes in that round of the
/// step that begins at cur_nimg images.
std::vector<int64_t> positions_of_round(const ProcessGroup& group, int64_t cur_nimg,
                                        int64_t batch_gpu, int64_t round);

/// From libtorch's default generators, or from one for each image, as options.streams says.
RoundDraws draws_for(const TrainOptions& options, c10::Device device,
                     const std::vector<int64_t>& positions);

}  // namespace edm2
