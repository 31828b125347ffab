/// Pictures from seeds, for programs: networks, guidance and sampler in one object.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "edm2/core/device.h"
#include "edm2/data/encoder.h"
#include "edm2/diffusion/sampler.h"
#include "edm2/engine/engine.h"
#include "edm2/nn/stored_snapshot.h"

namespace edm2 {

/// Images of one batch, as they come out of the sampler.
struct GeneratedBatch {
  std::vector<int64_t> seeds;
  Tensor noise;    ///< [N,C,H,W] float32
  Tensor labels;   ///< [N,K] float32, or undefined for unconditional networks
  Tensor latents;  ///< [N,C,H,W] float32
  /// [N,3,H',W'] uint8, or [N,C,H,W] of networks of grey pictures (1 channel) or such with alpha
  /// (2, 4); undefined if only latents were asked for.
  Tensor images;
  /// [N,F,3,H',W'] uint8 (or C channels): F stages of the denoising; undefined if not asked for.
  Tensor frames;
};

/// The tensors of a batch; the first dimension of each is that of the seeds.
inline constexpr Tensor GeneratedBatch::*batch_tensors[] = {
    &GeneratedBatch::noise, &GeneratedBatch::labels, &GeneratedBatch::latents,
    &GeneratedBatch::images, &GeneratedBatch::frames};

/// The steps, 0 to num_steps - 1, after which the estimate of the clean image makes one of `frames`
/// pictures of the denoising: evenly spread, the last step last. At most num_steps of them.
std::vector<int64_t> frame_steps(int64_t frames, int64_t num_steps);

/// Draws pictures for the seeds of one batch. Each image depends on its seed alone: the draws are
/// noise [C,H,W], then the class (also when one is forced), then churn noise. `label_of_seed`:
/// gives labels [K] float32 instead of classes; may be empty.
GeneratedBatch generate_batch(Denoiser& net, Denoiser& gnet, const Encoder& encoder,
                              std::span<const int64_t> seeds, std::optional<int64_t> class_idx,
                              const SamplerOptions& sampler, bool decode = true,
                              const StepCallback& on_step = {},
                              const std::function<Tensor(int64_t seed)>& label_of_seed = {});

/// Consecutive parts, as even as possible, of `count` seeds in batches of at most `max_batch_size`:
/// [begin, end) pairs. Many processes take turns, so for them the number of parts is a multiple of
/// theirs, and some parts may be empty.
std::vector<std::pair<int64_t, int64_t>> split_batches(int64_t count, int64_t max_batch_size,
                                                       int64_t processes = 1);

/// Draws pictures with a network, or with two (guidance). The public fields may be changed between
/// calls. Not for several threads at once.
class Sampler {
 public:
  /// Loads a network by its path or address, as load_network_source() does. `device` as
  /// select_device() has it. `encoder` says where the VAE of a latent network is, which is loaded
  /// when pictures are first needed; its device is that of the network. `engine` is for the guiding
  /// network too. Throws Error, UsageError.
  explicit Sampler(const NamedSource& net, const std::string& device = "auto",
                   Precision precision = Precision::automatic, EncoderSetup encoder = {},
                   EngineKind engine = EngineKind::automatic);
  explicit Sampler(StoredSnapshot net, const std::string& device = "auto",
                   Precision precision = Precision::automatic, EncoderSetup encoder = {},
                   EngineKind engine = EngineKind::automatic);
  /// With a network and an encoder of one's own.
  Sampler(std::shared_ptr<Denoiser> net, std::shared_ptr<const Encoder> encoder);

  /// Guidance by another network (Autoguidance, or classifier-free with an unconditional one):
  /// options.guidance = `strength`. Throws Error if it makes other images or knows other classes.
  void set_guide(const NamedSource& gnet, double strength);
  void set_guide(StoredSnapshot gnet, double strength);
  void set_guide(std::shared_ptr<Denoiser> gnet, double strength);

  /// One picture for each seed, in batches of at most max_batch_size; all of them are in memory at
  /// once. `decode` false leaves `images` undefined. Throws Error: options that cannot be used, or
  /// Interrupted if interrupt handlers are installed.
  GeneratedBatch generate(std::span<const int64_t> seeds, bool decode = true);
  GeneratedBatch generate(std::initializer_list<int64_t> seeds, bool decode = true);

  /// Throws UsageError or Error if the options cannot be used with these networks.
  void check() const;

  const Denoiser& net() const { return *net_; }
  const Encoder& encoder() const { return *encoder_; }
  c10::Device device() const { return net_->device(); }
  /// The network was trained on label vectors, not on classes.
  bool takes_label_vectors() const { return takes_label_vectors_; }
  /// Of the main network; none if it was not loaded by this object.
  std::optional<c10::ScalarType> activation_type() const { return activation_type_; }

  SamplerOptions options;
  std::optional<int64_t> class_idx;  ///< none: drawn from the seed
  /// Gives the label [K] float32 of a seed's picture; networks that were trained on label vectors
  /// need it. Empty: classes.
  std::function<Tensor(int64_t seed)> label_of_seed;
  int64_t max_batch_size = 32;
  int64_t frames = 0;  ///< > 0: decode this many stages of the denoising, the last of them `images`
  StepCallback on_step;  ///< called after every step of every batch; may be empty
  /// Called for every picture that came out with numbers that are not finite; may be empty.
  std::function<void(int64_t seed)> on_not_finite;

 private:
  GeneratedBatch generate_one_batch(std::span<const int64_t> seeds, bool decode);

  Precision precision_ = Precision::automatic;
  EngineKind engine_ = EngineKind::automatic;
  std::optional<c10::ScalarType> activation_type_;
  bool takes_label_vectors_ = false;
  std::shared_ptr<Denoiser> net_, gnet_;
  std::shared_ptr<const Encoder> encoder_;
};

}  // namespace edm2
