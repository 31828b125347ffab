// What a training step minimises.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "edm2/diffusion/loss.h"
#include "edm2/train/train_options.h"

namespace edm2 {

/// The random numbers of one forward pass, in the order in which they are asked for.
struct RoundDraws {
  DrawNormal normal;
  /// Masks for ForwardContext::dropout; empty: those of at::dropout.
  std::function<Tensor(const Tensor& y, double p)> dropout;
};

/// What one forward pass works on.
struct RoundInput {
  Tensor images;         // [n,C,H,W] float32, clean, on the network's device
  Tensor labels;         // [n,K]
  int64_t cur_nimg = 0;  // images that the run has seen before this step
};

/// Gives the loss, says what it draws, and knows the settings that it is used with. Has no state:
/// what changes in the course of training follows from RoundInput::cur_nimg.
class Objective {
 public:
  virtual ~Objective() = default;

  /// Loss, not reduced, [n,C,H,W] or [n,1,1,1], and noise levels [n,1,1,1]. A step minimises the
  /// sum of an image's losses, averaged over the batch. May evaluate `network` several times, with
  /// or without gradients; dropout draws from `draws` by itself. Each objective says what it draws
  /// in which order.
  virtual LossTerms loss(Precond& network, const LossOptions& settings, const RoundInput& input,
                         const RoundDraws& draws) const = 0;

  /// What snapshots and training states hold of the options.
  virtual LossOptions settings(const TrainOptions& options) const = 0;
  /// "loss_kwargs" of training_options.json.
  virtual nlohmann::ordered_json config(const TrainOptions& options) const = 0;

  /// Complete settings by name.
  virtual std::vector<std::string> preset_names() const = 0;
  /// `name`: one of those.
  virtual void apply_preset(TrainOptions& options, const std::string& name) const = 0;
};

/// The objective that the options ask for: denoising (edm2/diffusion/loss.h), the only one so far.
std::unique_ptr<Objective> make_objective(const TrainOptions& options);

}  // namespace edm2
