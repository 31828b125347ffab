/// Between pixels and the latents that networks see.
#pragma once

#include <ATen/core/Generator.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "edm2/core/device.h"
#include "edm2/core/progress.h"
#include "edm2/core/random.h"
#include "edm2/core/tensor.h"
#include "edm2/io/source.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

/// Maps what datasets hold to what networks see, and back.
class Encoder {
 public:
  virtual ~Encoder() = default;
  /// The original's class name, e.g. "StandardRGBEncoder".
  virtual std::string name() const = 0;
  /// Channels of the dataset's items and of the latents made from them: of RGB pictures, though
  /// grey ones (1 channel) and those with alpha (2, 4) are encoded alike; 0 = any number.
  virtual int64_t raw_channels() const = 0;
  virtual int64_t latent_channels() const = 0;
  /// uint8 pixels [N,3,H',W'] -> raw items as datasets hold them [N,raw,H,W]: the pixels
  /// themselves, or float32 mean and deviation of the VAE's latents. Throws Error if the VAE cannot
  /// be loaded, or if the sides are not multiples of its scale (8).
  virtual Tensor encode_pixels(const Tensor& pixels) const = 0;
  /// Raw items [N,raw,H,W] -> float32 latents [N,C,H,W] on the same device. Those of a VAE are
  /// drawn from its statistics, with `draw`; items of C channels instead of 2C are means alone.
  virtual Tensor encode_latents(const Tensor& raw, const DrawNormal& draw) const = 0;
  /// The same, [N,raw,H,W] -> [N,C,H,W], with a generator; none: the default one of the device.
  Tensor encode_latents(const Tensor& raw,
                        const std::optional<at::Generator>& generator = {}) const;
  /// Latents [N,C,H,W] -> uint8 pixels [N,3,H',W'], or [N,C,H,W] without a VAE. Throws Error if the
  /// VAE cannot be loaded, or if the latents are not those of pictures.
  virtual Tensor decode(const Tensor& latents) const = 0;
  /// A cheap impression of decode(), for previews: uint8 pixels [N,3,H'',W''].
  virtual Tensor decode_preview(const Tensor& latents) const { return decode(latents); }
  virtual EncoderOptions options() const = 0;

  /// Loads (or downloads) what encode_pixels() and decode() need. They do it themselves when first
  /// called; call this to have errors early and to see the progress of a download.
  virtual void load(Progress&) const {}
  /// The file that load() has read; none if nothing is needed or nothing has been loaded.
  virtual std::optional<std::filesystem::path> weights_file() const { return std::nullopt; }
};

/// What an encoder needs to know of the machine that it works on. What it computes is said by
/// EncoderOptions.
struct EncoderSetup {
  /// Folder, file or address (path, file://, http(s)://) of the VAE; empty: EncoderOptions.vae_name
  /// is looked for in the caches of this program, of the original and of the Hugging Face hub, and
  /// otherwise downloaded.
  NamedSource vae;
  FetchOptions fetch;
  c10::Device device = c10::kCPU;  ///< of the VAE
  /// Pictures that go through the VAE together, >= 1; none: what EncoderOptions says. On the CPU
  /// they go one by one whatever it is.
  std::optional<int64_t> batch_size;
};

/// Builds what a snapshot asks for. The VAE is loaded when it is first needed.
std::unique_ptr<Encoder> make_encoder(const EncoderOptions& options, EncoderSetup setup = {});

/// 3 channels -> RGB, 8 channels (mean and deviation of VAE latents) -> Stability VAE; Error
/// otherwise.
EncoderOptions encoder_for_dataset(int64_t channels);

/// What the user says of a dataset's contents.
enum class EncoderChoice {
  automatic,  ///< told by channels and type: see choose_encoder()
  rgb,        ///< pixels
  vae,        ///< latents of Stability's VAE: mean and deviation (8 channels) or means alone (4)
  none,       ///< numbers to be taken as they are
};

/// "auto", "rgb", "vae" or "none"; throws UsageError otherwise.
EncoderChoice parse_encoder(const std::string& name);

/// For items of that many channels and type (uint8 or float32). Automatically, as the original does
/// it: 3 channels -> RGB, 8 of float32 -> Stability VAE; and more than that: 1, 2 or 4 channels of
/// uint8 -> pixels, 4 of float32 -> means of the VAE's latents. Throws Error if they do not fit the
/// choice, or do not tell.
EncoderOptions choose_encoder(EncoderChoice choice, int64_t channels, c10::ScalarType type);

}  // namespace edm2
