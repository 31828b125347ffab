#include "train/sample_grid.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "data/contact_sheet.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/progress.h"
#include "edm2/core/random.h"
#include "edm2/diffusion/sampler.h"
#include "edm2/generate/sampler.h"
#include "edm2/io/atomic_file.h"
#include "edm2/nn/network.h"

namespace edm2 {
namespace {

/// Thrown between sampling steps when a signal has arrived.
struct Abandoned {};

/// Class i of `classes`, spread evenly; in turn if there are more pictures than classes.
Tensor class_labels(int64_t count, int64_t classes) {
  Tensor index = at::arange(count);
  index = count < classes ? index.mul(classes).floor_divide(count) : index.remainder(classes);
  return at::one_hot(index, classes).to(at::kFloat);
}

}  // namespace

Tensor sample_labels(const ImageDataset& dataset, int64_t count) {
  if (dataset.label_dim() == 0) return {};
  if (dataset.label_kind() == LabelKind::classes) return class_labels(count, dataset.label_dim());
  std::vector<Tensor> labels;
  for (int64_t i = 0; i < count; ++i)
    labels.push_back(dataset.item(i * dataset.size() / count).label);
  return at::stack(labels);
}

Tensor to_rgb_pictures(const Tensor& pictures) {
  const int64_t channels = pictures.size(1);
  const bool transparent = channels == 2 || channels == 4;
  const int64_t color_channels = channels < 3 ? 1 : 3;
  const Tensor plain = pictures.narrow(1, 0, color_channels).expand({-1, 3, -1, -1});
  if (!transparent) return plain;
  const Tensor opacity = pictures.narrow(1, color_channels, 1).to(at::kFloat).div(255);
  const Tensor colors = plain.to(at::kFloat);
  return (colors * opacity + (1 - opacity) * 255).round().to(at::kByte);
}

void write_sample_grids(const std::vector<SampleGrid::Grid>& grids,
                        const std::filesystem::path& outdir, int64_t cur_nimg, EventLog& events,
                        RunLog& log) {
  for (const auto& [std, image] : grids) {
    char name[64], width[32];
    std::snprintf(width, sizeof width, "-%.3f", std);
    std::snprintf(name, sizeof name, "samples-%07lld%s.png",
                  static_cast<long long>(cur_nimg / 1000), width);
    const auto png = encode_png(image, png_for_photographs);
    try {
      const auto folder = outdir / "samples";
      std::filesystem::create_directories(folder);
      write_file(folder / name, png);
    } catch (const std::runtime_error& error) {  // also what the file system throws
      log.line(std::string("Note: ") + error.what() + "; training goes on");
    }
    events.add(cur_nimg, std::string("Samples/ema") + width, image, png);
  }
}

SampleGrid::SampleGrid(const TrainOptions& options, const ImageDataset& dataset,
                       const Encoder& encoder, RunLog& log)
    : options_(options), log_(log), labels_(sample_labels(dataset, options.samples.count)) {
  const SampleOptions& o = options.samples;
  EncoderSetup setup;
  setup.vae = o.vae;
  setup.fetch = o.fetch;
  setup.device = select_device(options.device);
  if (o.vae.empty()) setup.fetch.offline = true;  // training does not wait for downloads
  encoder_ = make_encoder(encoder.options(), setup);
  try {
    encoder_->load(*make_progress(ProgressStyle::quiet));
  } catch (const Error&) {
    if (!o.vae.empty()) throw;
    preview_ = true;
  }
}

std::vector<SampleGrid::Grid> SampleGrid::draw(const PowerFunctionEma& ema, c10::Device device) {
  if (preview_ && !told_)
    log_.line(
        "Note: the VAE is not on this machine, so sample grids show a cheap impression of the "
        "latents; --vae says where one is");
  told_ = true;
  std::vector<Grid> grids;
  std::vector<double> wanted = options_.samples.stds;
  const auto& known = ema.stds();  // those of a resumed state may be others than the options'
  if (wanted.empty()) wanted = {*std::min_element(known.begin(), known.end())};
  try {
    for (size_t i = 0; i < known.size(); ++i)
      if (std::find(wanted.begin(), wanted.end(), known[i]) != wanted.end())
        grids.push_back({known[i], draw_grid(ema.weights(i), device)});
  } catch (const Abandoned&) {
    log_.line("Note: a signal has arrived, so the pictures are left");
  }
  return grids;
}

Image SampleGrid::draw_grid(const StateDict& weights, c10::Device device) const {
  c10::NoGradGuard no_grad;
  const SampleOptions& o = options_.samples;
  Precond network(options_.network, Init::none);
  network.precision = options_.precision;
  network.to(device);
  network.load_state_dict(weights);
  std::vector<int64_t> seeds(static_cast<size_t>(o.count));
  std::iota(seeds.begin(), seeds.end(), 0);
  SamplerOptions sampler;
  sampler.num_steps = o.num_steps;
  ContactSheet sheet(o.count, 0);
  const int64_t most = std::min<int64_t>(32, options_.batch_gpu.value_or(32));
  for (const auto& [begin, end] : split_batches(o.count, most)) {
    StackedGenerator random(device, std::span(seeds).subspan(static_cast<size_t>(begin),
                                                             static_cast<size_t>(end - begin)));
    const auto& net = options_.network;
    const Tensor noise = random.randn({net.img_channels, net.img_resolution, net.img_resolution});
    const Tensor labels = labels_.defined() ? labels_.slice(0, begin, end).to(device) : Tensor();
    const Tensor latents = edm_sampler(
        network, network, noise, labels, sampler,
        [&](const Tensor& like) { return random.randn_like(like); },
        [](const SamplerStep&) {
          if (pending_signal() != 0) throw Abandoned();
        });
    const Tensor pictures =
        preview_ ? encoder_->decode_preview(latents) : encoder_->decode(latents);
    sheet.add(to_rgb_pictures(pictures));
  }
  return sheet.image();
}

}  // namespace edm2
