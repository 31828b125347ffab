#include "train/summary.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <array>
#include <set>

#include "edm2/nn/state_report.h"

namespace edm2 {
namespace {

using Row = std::array<std::string, 5>;

std::string format_table(const std::vector<Row>& rows) {
  std::array<size_t, 5> width{};
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string table;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i)
      table += (i > 0 ? "  " : "") + row[i] + std::string(width[i] - row[i].size(), ' ');
    table += "\n";
  }
  return table;
}

std::string count_or_dash(int64_t count) { return count > 0 ? std::to_string(count) : "-"; }

std::string dtype_text(c10::ScalarType dtype) {
  if (dtype == at::kHalf) return "float16";
  if (dtype == at::kBFloat16) return "bfloat16";
  return "float32";
}

}  // namespace

std::string summarize_network(Precond& network, int64_t batch_size) {
  std::vector<Row> rows = {{"Precond", "Parameters", "Buffers", "Output shape", "Datatype"},
                           {"---", "---", "---", "---", "---"}};
  const auto tensors = network.named_tensors();
  std::set<std::string> listed;
  int64_t total_parameters = 0, total_buffers = 0;
  // Layers report when they finish, so a tensor belongs to the first (innermost) layer whose name
  // it has.
  const auto add_row = [&](const std::string& name, const Tensor& output) {
    int64_t parameters = 0, buffers = 0;
    for (const auto& entry : tensors) {
      if (!name.empty() && !entry.name.starts_with(name + ".")) continue;
      if (!listed.insert(entry.name).second) continue;
      (entry.is_buffer ? buffers : parameters) += entry.tensor->numel();
    }
    rows.push_back({name.empty() ? "<top-level>" : name, count_or_dash(parameters),
                    count_or_dash(buffers), shape_text(output.sizes()),
                    dtype_text(output.scalar_type())});
    total_parameters += parameters;
    total_buffers += buffers;
  };

  {
    c10::NoGradGuard no_grad;
    const ForwardContext saved = network.context;
    network.context.training = true;
    network.context.observe = add_row;
    const auto options = at::TensorOptions().dtype(at::kFloat).device(network.device());
    const int64_t resolution = network.img_resolution();
    network.forward(
        at::zeros({batch_size, network.img_channels(), resolution, resolution}, options),
        at::ones({batch_size}, options), at::zeros({batch_size, network.label_dim()}, options));
    network.context = saved;
  }
  rows.push_back({"---", "---", "---", "---", "---"});
  rows.push_back(
      {"Total", count_or_dash(total_parameters), count_or_dash(total_buffers), "-", "-"});
  return format_table(rows);
}

}  // namespace edm2
