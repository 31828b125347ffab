#include "train/gradient_check.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/parallel.h"
#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/train/optimizer.h"

namespace edm2 {
namespace {

constexpr int64_t block_size = int64_t{1} << 15;

/// Independent lanes, so that compilers vectorise and the sum's order is fixed.
TensorMeasure measure_block(const float* values, int64_t size) {
  constexpr int64_t lanes = 16;
  double sums[lanes] = {};
  int32_t nonfinite[lanes] = {};
  const auto add = [&](int64_t lane, float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    const bool bad = (bits & 0x7f800000u) == 0x7f800000u;
    const double usable = std::bit_cast<float>(bad ? 0u : bits);
    sums[lane] += usable * usable;
    nonfinite[lane] += bad ? 1 : 0;
  };
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) add(lane, values[i + lane]);
  for (; i < size; ++i) add(0, values[i]);
  TensorMeasure result;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    result.nonfinite += nonfinite[lane];
    result.sum_of_squares += sums[lane];
  }
  return result;
}

TensorMeasure measure_on_cpu(const Tensor& values) {
  const auto* data = values.const_data_ptr<float>();
  const int64_t size = values.numel();
  std::vector<TensorMeasure> blocks(static_cast<size_t>((size + block_size - 1) / block_size));
  parallel_for(0, static_cast<int64_t>(blocks.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      blocks[static_cast<size_t>(i)] =
          measure_block(data + i * block_size, std::min(block_size, size - i * block_size));
  });
  TensorMeasure total;
  for (const TensorMeasure& block : blocks) {
    total.nonfinite += block.nonfinite;
    total.sum_of_squares += block.sum_of_squares;
  }
  return total;
}

/// [2] float64 on the tensor's device.
Tensor measure_anywhere(const Tensor& values) {
  const Tensor finite = values.isfinite();
  return at::stack({finite.logical_not().sum().to(at::kDouble),
                    at::where(finite, values, 0).to(at::kDouble).square().sum()});
}

TensorMeasure to_measure(const Tensor& pair) {
  return {static_cast<int64_t>(pair[0].item<double>()), pair[1].item<double>()};
}

}  // namespace

TensorMeasure measure(const Tensor& values) {
  const Tensor flat = values.detach();
  if (flat.device().is_cpu() && flat.scalar_type() == at::kFloat)
    return measure_on_cpu(flat.contiguous());
  return to_measure(measure_anywhere(flat).cpu());
}

std::vector<TensorMeasure> measure_gradients(Precond& network) {
  c10::NoGradGuard no_grad;
  std::vector<TensorMeasure> measures;
  std::vector<Tensor> on_device;  // one wait for the device, not one for each parameter
  std::vector<size_t> indices;
  for (const auto& parameter : network.named_parameters()) {
    const Tensor& grad = parameter.tensor->grad();
    measures.emplace_back();
    if (!grad.defined()) continue;
    if (grad.device().is_cpu()) {
      measures.back() = measure(grad);
    } else {
      on_device.push_back(measure_anywhere(grad.detach()));
      indices.push_back(measures.size() - 1);
    }
  }
  if (on_device.empty()) return measures;
  const Tensor all = at::stack(on_device).cpu();
  for (size_t i = 0; i < indices.size(); ++i)
    measures[indices[i]] = to_measure(all[static_cast<int64_t>(i)]);
  return measures;
}

GradientCheck::GradientCheck(Precond& network, OnNonfinite action, RunLog& log)
    : network_(network), action_(action), log_(log) {
  for (const auto& parameter : network.named_parameters()) {
    size_ += parameter.tensor->numel();
    elements_.push_back(0);
  }
}

bool GradientCheck::check(int64_t cur_nimg) {
  measures_ = measure_gradients(network_);
  int64_t found = 0;
  std::vector<int64_t> here;
  for (const TensorMeasure& measure : measures_) {
    here.push_back(measure.nonfinite);
    found += measure.nonfinite;
  }
  if (found == 0) return true;
  const std::string what = std::to_string(found) + " of " + std::to_string(size_) +
                           " gradients are not finite in the step at " +
                           format_number("%.3f kimg (", static_cast<double>(cur_nimg) / 1e3) +
                           affected(here) + ")";
  if (action_ == OnNonfinite::stop)
    throw Error(what + "; stopped before the weights changed (--on-nonfinite=stop), the last " +
                "training state is kept");
  counts_.steps += 1;
  counts_.elements += found;
  for (size_t i = 0; i < here.size(); ++i) elements_[i] += here[i];
  if (told_first_) {
    untold_steps_ += 1;
  } else {
    log_.line("Warning: " + what + "; " +
              (action_ == OnNonfinite::skip ? "this step is skipped" : "they count as 0"));
    told_first_ = true;
  }
  if (action_ == OnNonfinite::skip) return false;
  zero_nonfinite_gradients(network_);
  return true;
}

void GradientCheck::tell() {
  if (untold_steps_ > 0)
    log_.line("Warning: since the last status " + std::to_string(counts_.steps) +
              (counts_.steps == 1 ? " step" : " steps") + " had gradients that are not finite, " +
              std::to_string(counts_.elements) + " in all (" + affected(elements_) + "); " +
              (action_ == OnNonfinite::skip ? "those steps were skipped" : "they counted as 0"));
  counts_ = {};
  untold_steps_ = 0;
  std::fill(elements_.begin(), elements_.end(), 0);
}

nlohmann::json GradientCheck::save() const {
  return {{"steps", counts_.steps},
          {"elements", counts_.elements},
          {"by_parameter", counts_.steps > 0 ? elements_ : std::vector<int64_t>()},
          {"told_first", told_first_},
          {"untold_steps", untold_steps_}};
}

void GradientCheck::restore(const nlohmann::json& saved) {
  counts_ = {saved.at("steps").get<int64_t>(), saved.at("elements").get<int64_t>()};
  const auto elements = saved.at("by_parameter").get<std::vector<int64_t>>();
  if (elements.size() == elements_.size()) elements_ = elements;
  told_first_ = saved.at("told_first").get<bool>();
  untold_steps_ = saved.at("untold_steps").get<int64_t>();
}

/// "unet.out_conv.weight: 12, ...": the most affected first.
std::string GradientCheck::affected(const std::vector<int64_t>& elements) const {
  constexpr size_t most = 4;
  const auto parameters = network_.named_parameters();
  std::vector<size_t> order;
  for (size_t i = 0; i < elements.size(); ++i)
    if (elements[i] > 0) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return elements[a] > elements[b]; });
  std::string text;
  for (size_t i = 0; i < std::min(order.size(), most); ++i)
    text +=
        (i > 0 ? ", " : "") + parameters[order[i]].name + ": " + std::to_string(elements[order[i]]);
  if (order.size() > most) text += ", and " + std::to_string(order.size() - most) + " more layers";
  return text;
}

}  // namespace edm2
