#include "train/training_data.h"

#include "edm2/core/error.h"
#include "edm2/data/latents.h"
#include "train/data_notes.h"

namespace edm2 {

void TrainingData::load(TrainOptions& options) {
  try {
    dataset = std::make_unique<ImageDataset>(ImageDatasetOptions{.path = options.data,
                                                                 .use_labels = options.use_labels,
                                                                 .max_size = options.max_size,
                                                                 .xflip = options.xflip});
  } catch (const Error& error) {
    throw Error(std::string("--data: ") + error.what());
  }
  if (options.use_labels && dataset->label_dim() == 0)
    throw Error("--cond=True, but no labels found in the dataset; label it or use --cond=False");
  check_label_kind(*dataset, options.label_kind);
  const auto& shape = dataset->image_shape();
  const auto chosen = with_measured_statistics(
      choose_encoder(options.encoder, shape[0], dataset->image_type()), options.data);
  encoder = make_encoder(chosen);
  if (shape[1] != shape[2])
    throw Error("--data: the images are not square; convert the dataset with a crop first");
  auto& net = options.network;
  const bool has_deviations =
      chosen.kind == EncoderOptions::Kind::stability_vae && shape[0] == encoder->raw_channels();
  net.img_channels = has_deviations ? shape[0] / 2 : shape[0];
  net.img_resolution = shape[1];
  net.label_dim = dataset->label_dim();
}

void TrainingData::start(const TrainOptions& options, const ProcessGroup& group, int64_t cur_nimg,
                         int64_t batch_gpu) {
  loader.reset();
  loader = std::make_unique<PrefetchLoader>(
      *dataset,
      InfiniteSampler(dataset->size(), group.rank(), group.size(), options.seed, cur_nimg),
      batch_gpu, options.data_threads);
}

}  // namespace edm2
