// The table of layers that training prints before it starts.
#pragma once

#include <string>

#include "edm2/nn/network.h"

namespace edm2 {

/// Runs one forward pass in training mode without gradients (which force-normalises every weight it
/// touches) and lists each layer's parameters, buffers and output. One row a line.
std::string summarize_network(Precond& network, int64_t batch_size);

}  // namespace edm2
