#include "edm2/nn/snapshot_tools.h"

#include <ATen/ATen.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/io/digest.h"
#include "edm2/nn/layers.h"
#include "edm2/nn/state_report.h"
#include "nn/snapshot_formats.h"

namespace edm2 {
namespace {

int64_t count(const Tensor& mask) { return mask.sum().item<int64_t>(); }

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.nbytes() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

std::string tensor_difference(const std::string& name, const Tensor& a, const Tensor& b) {
  if (a.scalar_type() != b.scalar_type())
    return name + " is of type " + c10::toString(a.scalar_type()) + " and " +
           c10::toString(b.scalar_type());
  if (a.sizes() != b.sizes())
    return name + " has the shapes " + shape_text(a.sizes()) + " and " + shape_text(b.sizes());
  return same_bits(a, b) ? "" : name + " has other values";
}

}  // namespace

RoundingReport change_precision(Snapshot& snapshot, at::ScalarType dtype) {
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kHalf || dtype == at::kBFloat16,
              "[change_precision] unknown type");
  RoundingReport report;
  for (auto& [name, tensor] : snapshot.tensors) {
    const Tensor converted = tensor.to(dtype);
    // Of either type every value is exact in the wider one.
    const auto wide = tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const Tensor before = tensor.to(wide), after = converted.to(wide);
    report.values += before.numel();
    report.rounded += count((before != after) & before.isnan().logical_not());
    report.underflowed += count((before != 0) & (after == 0));
    const int64_t overflowed = count(before.isfinite() & after.isinf());
    if (overflowed > 0 && report.overflowed == 0) report.first_overflow = name;
    report.overflowed += overflowed;
    tensor = converted;
  }
  return report;
}

Snapshot fold(const Snapshot& snapshot) {
  if (snapshot.folded) throw Error("the weights are folded already");
  const auto ends_with = [](const std::string& name, std::string_view end) {
    return name.ends_with(end);
  };
  Snapshot result = snapshot;
  result.folded = true;
  for (auto& [name, tensor] : result.tensors) {
    constexpr std::string_view embedding = ".emb_linear.weight";
    if (ends_with(name, embedding)) {
      const std::string block = name.substr(0, name.size() - embedding.size());
      tensor = effective_weight(tensor, find_tensor(snapshot.tensors, block + ".emb_gain"));
    } else if (name == "unet.out_conv.weight") {
      tensor = effective_weight(tensor, find_tensor(snapshot.tensors, "unet.out_gain"));
    } else if (ends_with(name, ".weight")) {
      tensor = effective_weight(tensor);
    } else if (ends_with(name, "_gain")) {
      tensor = at::ones({}, at::kFloat);
    } else {
      tensor = tensor.to(at::kFloat);
    }
  }
  return result;
}

std::string weights_sha256(const Snapshot& snapshot) {
  std::string lines;
  for (const auto& [name, tensor] : snapshot.tensors) {
    const Tensor data = tensor.cpu().contiguous();
    lines += name + ' ' + c10::toString(data.scalar_type());
    for (const int64_t size : data.sizes()) lines += ' ' + std::to_string(size);
    lines +=
        ' ' + sha256_hex({static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()});
    lines += '\n';
  }
  return sha256_hex(std::as_bytes(std::span(lines)));
}

std::vector<std::string> differences(const Snapshot& a, const Snapshot& b) {
  constexpr size_t most = 5;
  std::vector<std::string> result;
  const auto add = [&](const std::string& text) {
    if (!text.empty() && result.size() < most) result.push_back(text);
  };
  const auto own = to_json(a.network), other = to_json(b.network);
  for (const auto& [name, value] : own.items())
    if (name != "has_logvar" && value != other.at(name))
      add("the option " + name + " is " + value.dump() + " and " + other.at(name).dump());
  if (a.network.has_logvar != b.network.has_logvar)
    add("one has an uncertainty head, the other not");
  if (a.encoder != b.encoder) add("the encoders differ");
  if (a.dataset != b.dataset) add("the datasets differ");
  if (a.loss != b.loss) add("the losses differ");
  if (a.folded != b.folded) add("one is folded, the other not");
  if (a.tensors.size() != b.tensors.size())
    add("there are " + std::to_string(a.tensors.size()) + " and " +
        std::to_string(b.tensors.size()) + " tensors");
  for (size_t i = 0; i < std::min(a.tensors.size(), b.tensors.size()); ++i) {
    const auto& [name, tensor] = a.tensors[i];
    if (name != b.tensors[i].first)
      add("the tensor " + std::to_string(i) + " is " + name + " and " + b.tensors[i].first);
    else
      add(tensor_difference(name, tensor, b.tensors[i].second));
  }
  return result;
}

}  // namespace edm2
