// What a dataset and a network have to do with each other, told before the training starts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "edm2/data/dataset.h"
#include "edm2/nn/network_options.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

/// Throws Error if the dataset's labels are of another kind than the user says.
void check_label_kind(const ImageDataset& dataset, std::optional<LabelKind> wanted);

/// Sentences on what is allowed, but seldom meant: attention that falls away, numbers or labels of
/// an unusual size.
std::vector<std::string> notes_on_data(const ImageDataset& dataset, const EncoderOptions& encoder,
                                       const NetworkOptions& network);

}  // namespace edm2
