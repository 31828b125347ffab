// The convolutions of a network, and how fast each can be computed by itself.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "core/measuring.h"
#include "edm2/core/device.h"
#include "edm2/nn/network_options.h"

namespace edm2 {

/// x[N, in, size, size] -> [N, out, size, size]; kernel 1 or 3.
struct ConvolutionShape {
  int64_t in = 0, out = 0, size = 0, kernel = 0;
  bool input_gradient = true;  ///< not of the first layer
  int64_t count = 1;           ///< how many of the network's convolutions are like this
  bool operator==(const ConvolutionShape&) const = default;
};

/// All convolutions of the network, those of the same shape together.
std::vector<ConvolutionShape> convolutions_of(const NetworkOptions& options);

/// Convolutions of one shape on random data: forward and, for training, gradient of the input
/// (unless it is not needed) and of the weights, each by the fastest of several primitives and
/// memory layouts.
class ConvolutionTimer {
 public:
  /// Tries all of them.
  ConvolutionTimer(const ConvolutionShape& shape, int64_t batch, c10::ScalarType dtype,
                   c10::Device device, bool gradients = true);
  /// Seconds that all of them take now, once each.
  double measure() const;
  const ConvolutionShape& shape() const { return shape_; }
  /// What is fastest: "packed channels-last", ...; forward, input gradient, weight gradient.
  const std::vector<std::string>& chosen() const { return names_; }

 private:
  ConvolutionShape shape_;
  c10::Device device_;
  std::vector<std::function<void()>> passes_;
  std::vector<std::string> names_;
};

/// The convolutions of a network by themselves, measured beside the whole of it, round by round.
class ConvolutionFloor {
 public:
  ConvolutionFloor(const NetworkOptions& network, int64_t batch, Precision precision,
                   c10::Device device, bool gradients = true);
  /// Seconds that all of them take now.
  double measure();
  /// The sum of the medians of each over the rounds.
  double seconds() const;

 private:
  std::vector<ConvolutionTimer> timers_;
  std::vector<std::vector<double>> times_;  // of each of them, by round
};

/// Measures laps, at whose ends the device has done what it was asked to do.
class LapClock {
 public:
  explicit LapClock(c10::Device device) : device_(device) {}
  /// Seconds since the last call.
  double lap();

 private:
  c10::Device device_;
  double last_ = seconds_now();
};

}  // namespace edm2
