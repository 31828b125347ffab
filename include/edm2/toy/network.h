/// The small magnitude-preserving network of the 2D example (arXiv 2406.02507, Appendix C).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "edm2/core/tensor.h"

namespace edm2::toy {

/// The shape of the network.
struct NetworkOptions {
  int64_t num_layers = 4;  ///< hidden layers, >= 0
  int64_t hidden_dim = 64;
  double sigma_data = 0.5;

  bool operator==(const NetworkOptions&) const = default;
};

/// A multilayer perceptron that models the log density of noisy data; the score is its gradient.
class Network {
 public:
  /// Draws the weights from libtorch's default generator on the CPU. Throws Error if an option is
  /// out of range.
  explicit Network(const NetworkOptions& options);
  /// With given parameters, in the order of parameters(). Throws Error if the shapes do not fit.
  Network(const NetworkOptions& options, std::vector<Tensor> parameters);

  const NetworkOptions& options() const { return options_; }

  /// The gain (0-dim), then the weight of each layer [out,in], first to last; float32.
  std::vector<Tensor>& parameters() { return parameters_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }
  /// "gain", "layers.0.weight", "layers.2.weight", ...: names of the original.
  std::vector<std::string> parameter_names() const;
  /// A network with copies of the parameters.
  Network clone() const;

  /// x: [N,2]; sigma: [N] or 0-dim, > 0. Log density without its constant, [N].
  Tensor log_density(const Tensor& x, const Tensor& sigma) const;
  /// Its gradient by x, [N,2]. `differentiable`: by the parameters, as training needs it.
  Tensor score(const Tensor& x, const Tensor& sigma, bool differentiable = false) const;
  /// What the original does at every forward pass in training: each row of a weight gets the norm
  /// of a row of standard normal numbers.
  void normalize_weights();

 private:
  NetworkOptions options_;
  std::vector<Tensor> parameters_;
};

/// Reads a snapshot of the original's toy example or of this one, a pickle whose root is the
/// network. Throws Error naming the file.
Network load_network(const std::filesystem::path& path);
/// Writes such a snapshot, atomically.
void save_network(const std::filesystem::path& path, const Network& network);

}  // namespace edm2::toy
