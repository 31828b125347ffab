/// What one evaluation of a network costs, from its options alone: operations as the original's
/// counter lists them, bytes moved, memory. No weights are allocated.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edm2/nn/network_options.h"

namespace edm2 {

/// What the costs of a pass depend on beside the network.
struct PassOptions {
  int64_t batch = 1;             ///< images evaluated together, >= 1
  int64_t activation_bytes = 4;  ///< per element inside of the U-Net: 4 = float32, 2 = half
  int64_t weight_bytes = 2;      ///< per stored weight: 2 as in the original's snapshots
};

/// One operation of the pass.
struct Operation {
  /// What an operation spends its time on; elements: it is bound by memory.
  enum class Work { convolution, matrix_product, elements };

  std::string name;   ///< "aten::lerp"; "Other" moves data without computing
  std::string layer;  ///< "unet.enc.64x64_block0", "unet.out_conv"; "" outside of the U-Net
  Work work = Work::elements;
  bool on_weights = false;  ///< prepares weights: independent of the batch
  int64_t resolution = 0;   ///< of the images that come out; 0: vectors or weights
  double flops = 0;  ///< as the original counts: a multiply-add is one, silu three an element, ...
  double bytes = 0;  ///< every operation reads its inputs and writes its output once
};

/// A forward pass in evaluation, without the uncertainty head.
struct ForwardPass {
  std::vector<Operation> operations;  ///< in the order of execution
  /// Largest sums of bytes alive at once: images and embeddings, and together with the weights that
  /// are prepared for the layer at hand. Stored weights, and what kernels need inside, are not
  /// counted.
  int64_t peak_activations = 0;
  int64_t peak_memory = 0;
};

/// Follows the network through its layers with shapes in place of tensors. Throws Error if the
/// options are wrong.
ForwardPass trace_forward_pass(const NetworkOptions& options, const PassOptions& pass = {});

/// Sums over operations with one name, or of one layer.
struct OperationTotal {
  std::string name;
  int64_t count = 0;
  double flops = 0;
  double bytes = 0;
};
/// By name: most flops first, otherwise in the order of their first use.
std::vector<OperationTotal> totals_by_name(const std::vector<Operation>& operations);
/// By layer, in the order of execution.
std::vector<OperationTotal> totals_by_layer(const std::vector<Operation>& operations);

/// The original's report of one evaluation of one image: parameters, flops, and a table by name.
/// "Other" counts the operations here, not those of Python's tracer.
std::string flops_report(const NetworkOptions& options);

}  // namespace edm2
