#include "train/layer_norms.h"

#include <algorithm>
#include <cmath>

namespace edm2 {

std::string layer_group(const std::string& parameter) {
  if (parameter.starts_with("logvar")) return "logvar";
  constexpr std::string_view unet = "unet.";
  // "enc.64x64_block0.conv_res0.weight", "emb_noise.weight", "out_gain": up to the first "_".
  const size_t begin = parameter.starts_with(unet) ? unet.size() : 0;
  return parameter.substr(begin, parameter.find('_', begin) - begin);
}

LayerNorms::LayerNorms(Precond& network) : names_{"total"} {
  for (const auto& parameter : network.named_parameters()) {
    const std::string group = layer_group(parameter.name);
    auto at = std::find(names_.begin(), names_.end(), group);
    if (at == names_.end()) at = names_.insert(names_.end(), group);
    group_.push_back(static_cast<size_t>(at - names_.begin()));
  }
}

void LayerNorms::report(const std::string& prefix, const std::vector<TensorMeasure>& measures,
                        double scale, Statistics& statistics) const {
  std::vector<double> squares(names_.size());
  for (size_t i = 0; i < measures.size(); ++i) {
    squares[0] += measures[i].sum_of_squares;
    squares[group_[i]] += measures[i].sum_of_squares;
  }
  for (size_t i = 0; i < names_.size(); ++i)
    statistics.report(prefix + names_[i], std::sqrt(squares[i]) / scale);
}

void LayerNorms::report_weights(Precond& network, Statistics& statistics) const {
  std::vector<TensorMeasure> measures;
  for (const auto& parameter : network.named_parameters())
    measures.push_back(measure(*parameter.tensor));
  report("WeightNorm/", measures, 1, statistics);
}

}  // namespace edm2
