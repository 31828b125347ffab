// Grids of pictures that show what the averaged weights have learned so far.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edm2/data/dataset.h"
#include "edm2/data/encoder.h"
#include "edm2/ema/power_function.h"
#include "edm2/io/image.h"
#include "edm2/train/train_options.h"
#include "train/event_log.h"
#include "train/run_log.h"

namespace edm2 {

/// Pictures of the seeds 0, 1, 2, ... with classes spread over all there are: the same ones every
/// time, so that grids can be compared. Draws from generators of its own; training does not notice.
class SampleGrid {
 public:
  /// `encoder`: the dataset's. Where it has a VAE that is not on this machine, grids show a cheap
  /// impression of the latents, and the first one says so in `log`. Throws Error if
  /// SampleOptions.vae cannot be loaded.
  SampleGrid(const TrainOptions& options, const ImageDataset& dataset, const Encoder& encoder,
             RunLog& log);

  struct Grid {
    double std;   ///< EMA width of the weights
    Image image;  ///< RGB
  };
  /// One grid for each width in SampleOptions.stds. Stops early, with what it has, if a signal
  /// arrives: the training loop is to deal with it soon. `ema`: with up-to-date buffers.
  std::vector<Grid> draw(const PowerFunctionEma& ema, c10::Device device);

 private:
  Image draw_grid(const StateDict& weights, c10::Device device) const;

  const TrainOptions& options_;
  RunLog& log_;
  std::unique_ptr<Encoder> encoder_;
  bool preview_ = false, told_ = false;
  Tensor labels_;  // [count, label_dim], or undefined
};

/// Writes OUTDIR/samples/samples-0001048-0.050.png, and the same into the event file. A picture
/// that cannot be written is noted in the log; the run goes on.
void write_sample_grids(const std::vector<SampleGrid::Grid>& grids,
                        const std::filesystem::path& outdir, int64_t cur_nimg, EventLog& events,
                        RunLog& log);

/// [count, label_dim] one-hot: classes spread evenly, in turn if there are fewer than pictures. For
/// label vectors, those of items spread over the dataset. Undefined if there are no labels.
Tensor sample_labels(const ImageDataset& dataset, int64_t count);

/// uint8 [N,C,H,W] of 1 or 3 channels (grey, RGB) and perhaps opacity (shown on white) ->
/// [N,3,H,W].
Tensor to_rgb_pictures(const Tensor& pictures);

}  // namespace edm2
