/// Between pixels and the latents that networks see.
#pragma once

#include <memory>
#include <string>

#include "edm2/core/tensor.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

class Encoder {
 public:
  virtual ~Encoder() = default;
  /// The original's class name, e.g. "StandardRGBEncoder".
  virtual std::string name() const = 0;
  /// Channels of the dataset's items and of the latents made from them.
  virtual int64_t raw_channels() const = 0;
  virtual int64_t latent_channels() const = 0;
  /// Raw items [N,raw,H,W] (uint8 pixels or stored VAE statistics) -> float32 latents [N,C,H,W].
  virtual Tensor encode_latents(const Tensor& raw) const = 0;
  /// Latents [N,C,H,W] -> uint8 pixels [N,3,H',W'].
  virtual Tensor decode(const Tensor& latents) const = 0;
  /// A cheap impression of decode(), for previews: uint8 pixels [N,3,H'',W''].
  virtual Tensor decode_preview(const Tensor& latents) const { return decode(latents); }
  virtual EncoderOptions options() const = 0;
};

/// Builds what a snapshot asks for.
std::unique_ptr<Encoder> make_encoder(const EncoderOptions& options);

/// 3 channels -> RGB, 8 channels (mean and deviation of VAE latents) -> Stability VAE; Error
/// otherwise.
EncoderOptions encoder_for_dataset(int64_t channels);

}  // namespace edm2
