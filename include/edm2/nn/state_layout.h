/// Names and shapes of all parameters and buffers of a network, without building it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edm2/nn/network_options.h"

namespace edm2 {

/// One parameter or buffer.
struct StateEntry {
  std::string name;                 ///< as in the original's state_dict
  std::vector<int64_t> shape = {};  ///< empty for gains
  bool is_buffer = false;           ///< Fourier frequencies and phases
};

/// State-dict order: own parameters, own buffers, then children, in construction order.
std::vector<StateEntry> state_layout(const NetworkOptions& options);

}  // namespace edm2
