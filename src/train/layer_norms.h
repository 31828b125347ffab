// How large gradients and weights are, by groups of layers, for stats.jsonl.
#pragma once

#include <string>
#include <vector>

#include "edm2/nn/network.h"
#include "edm2/train/statistics.h"
#include "train/gradient_check.h"

namespace edm2 {

/// Of a parameter by its name in the state dict: "emb", "enc.64x64", "dec.8x8", "out", "logvar".
std::string layer_group(const std::string& parameter);

/// L2 norms over all parameters of a group, and over all of them ("total").
class LayerNorms {
 public:
  explicit LayerNorms(Precond& network);

  /// Reports "GradNorm/total", "GradNorm/emb", ... of measures in the order of
  /// Precond::named_parameters(); `prefix`: "GradNorm/". Every norm is divided by `scale`.
  void report(const std::string& prefix, const std::vector<TensorMeasure>& measures, double scale,
              Statistics& statistics) const;
  /// Reports "WeightNorm/total" and so on of the network's weights as they are.
  void report_weights(Precond& network, Statistics& statistics) const;

 private:
  std::vector<std::string> names_;  // "total", then groups in the order of the network
  std::vector<size_t> group_;       // of each parameter: index into names_
};

}  // namespace edm2
