#include "ema/snapshot_writer.h"

#include <ATen/ATen.h>

#include <cstring>
#include <numeric>

namespace edm2 {

SnapshotIndex describe_result(std::span<const OpenSnapshot> snapshots) {
  SnapshotIndex result = snapshots.front().index;
  for (StoredTensor& tensor : result.tensors) {
    if (result.network) tensor.dtype = at::kHalf;
    tensor.copy = Tensor();
  }
  return result;
}

SumPlan plan_sums(const SnapshotIndex& result, std::vector<std::vector<double>> coefficients) {
  SumPlan plan;
  plan.order.resize(result.tensors.size());
  std::iota(plan.order.begin(), plan.order.end(), size_t{0});
  for (const StoredTensor& tensor : result.tensors) plan.types.push_back(tensor.dtype);
  plan.coefficients = std::move(coefficients);
  return plan;
}

SnapshotFilesReceiver::SnapshotFilesReceiver(const SnapshotIndex& result, SnapshotFormat format,
                                             const std::vector<std::filesystem::path>& paths,
                                             SumPlan& plan)
    : pieces_(snapshot_pieces(result, format)) {
  plan.order.clear();
  for (const FilePiece& piece : pieces_)
    if (piece.tensor) plan.order.push_back(*piece.tensor);
  for (const StoredTensor& tensor : result.tensors) sizes_.push_back(tensor.nbytes());
  for (const auto& path : paths) {
    outputs_.push_back({std::make_unique<AtomicFile>(path)});
    advance(outputs_.back());
  }
}

void SnapshotFilesReceiver::advance(Output& output) {
  while (output.missing == 0 && output.begun < pieces_.size()) {
    const FilePiece& piece = pieces_[output.begun++];
    output.file->write(piece.bytes);
    if (piece.tensor) output.missing = sizes_[*piece.tensor];
  }
}

void SnapshotFilesReceiver::receive(size_t output, size_t tensor,
                                    std::span<const std::byte> elements) {
  Output& out = outputs_[output];
  TORCH_CHECK(pieces_[out.begun - 1].tensor == tensor && elements.size() <= out.missing,
              "reconstruction: elements out of order");
  out.file->write(elements);
  out.missing -= elements.size();
  advance(out);
}

void SnapshotFilesReceiver::finish() {
  for (const Output& output : outputs_)
    TORCH_CHECK(output.missing == 0 && output.begun == pieces_.size(),
                "reconstruction: elements are missing");
  for (const Output& output : outputs_) output.file->commit();
}

StateDictReceiver::StateDictReceiver(const SnapshotIndex& result)
    : received_(result.tensors.size()) {
  for (const StoredTensor& tensor : result.tensors)
    tensors_.emplace_back(tensor.name, at::empty(tensor.shape, tensor.dtype));
}

void StateDictReceiver::receive(size_t, size_t tensor, std::span<const std::byte> elements) {
  const Tensor& target = tensors_[tensor].second;
  TORCH_CHECK(received_[tensor] + elements.size() <= target.nbytes(),
              "reconstruction: too many elements");
  std::memcpy(static_cast<std::byte*>(target.mutable_data_ptr()) + received_[tensor],
              elements.data(), elements.size());
  received_[tensor] += elements.size();
}

}  // namespace edm2
