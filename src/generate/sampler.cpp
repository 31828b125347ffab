#include "edm2/generate/sampler.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/generate/network_source.h"

namespace edm2 {
namespace {

void check_compatible(const Denoiser& net, const Denoiser& gnet) {
  if (gnet.img_channels() != net.img_channels() || gnet.img_resolution() != net.img_resolution())
    throw Error("the guiding network makes " + std::to_string(gnet.img_channels()) + "x" +
                std::to_string(gnet.img_resolution()) + " images, the main network " +
                std::to_string(net.img_channels()) + "x" + std::to_string(net.img_resolution()) +
                " (channels x resolution); choose a --gnet trained on the same data");
  if (gnet.label_dim() != 0 && gnet.label_dim() != net.label_dim())
    throw Error("the guiding network knows " + std::to_string(gnet.label_dim()) +
                " classes, the main network " + std::to_string(net.label_dim()) +
                "; choose a --gnet trained on the same classes, or an unconditional one");
}

void check_class(const Denoiser& net, std::optional<int64_t> class_idx) {
  if (class_idx && net.label_dim() > 0 && (*class_idx < 0 || *class_idx >= net.label_dim()))
    throw Error("--class=" + std::to_string(*class_idx) + " is out of range: the network knows " +
                std::to_string(net.label_dim()) + " classes, 0 to " +
                std::to_string(net.label_dim() - 1));
}

void check_labels(const Denoiser& net, const Sampler& sampler) {
  const int64_t dim = net.label_dim();
  const std::string vectors =
      "the network was trained on label vectors of " + std::to_string(dim) + " numbers";
  if (sampler.label_of_seed) {
    if (dim == 0) throw Error("the network is unconditional, so it takes no --labels");
    const int64_t length = sampler.label_of_seed(0).numel();
    if (length != dim)
      throw Error("the label has " + std::to_string(length) + " numbers, the network takes " +
                  std::to_string(dim));
  } else if (sampler.takes_label_vectors() && sampler.class_idx) {
    throw Error(vectors + ", not on classes; use --label-vector or --labels instead of --class");
  } else if (sampler.takes_label_vectors()) {
    throw Error(vectors + ", and none were given; use --label-vector or --labels");
  }
}

StoredSnapshot open_quietly(const NamedSource& source) {
  return open_network_source(source, {}, *make_progress(ProgressStyle::quiet));
}

/// Batches one after the other in one; tensors that are undefined stay so.
GeneratedBatch join(std::vector<GeneratedBatch> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  GeneratedBatch all;
  for (const GeneratedBatch& part : parts)
    all.seeds.insert(all.seeds.end(), part.seeds.begin(), part.seeds.end());
  for (Tensor GeneratedBatch::*field : batch_tensors) {
    std::vector<Tensor> tensors;
    for (GeneratedBatch& part : parts)
      if ((part.*field).defined()) tensors.push_back(std::move(part.*field));
    if (!tensors.empty()) all.*field = at::cat(tensors);
  }
  return all;
}

}  // namespace

std::vector<std::pair<int64_t, int64_t>> split_batches(int64_t count, int64_t max_batch_size,
                                                       int64_t processes) {
  std::vector<std::pair<int64_t, int64_t>> parts;
  if (count == 0) return parts;
  const int64_t number = ((count - 1) / (max_batch_size * processes) + 1) * processes;
  int64_t begin = 0;
  for (int64_t i = 0; i < number; ++i) {
    const int64_t size = count / number + (i < count % number ? 1 : 0);
    parts.emplace_back(begin, begin + size);
    begin += size;
  }
  return parts;
}

GeneratedBatch generate_batch(Denoiser& net, Denoiser& gnet, const Encoder& encoder,
                              std::span<const int64_t> seeds, std::optional<int64_t> class_idx,
                              const SamplerOptions& sampler, bool decode,
                              const StepCallback& on_step,
                              const std::function<Tensor(int64_t seed)>& label_of_seed) {
  c10::NoGradGuard no_grad;
  GeneratedBatch batch;
  batch.seeds.assign(seeds.begin(), seeds.end());
  StackedGenerator random(net.device(), seeds);
  const int64_t resolution = net.img_resolution(), classes = net.label_dim();
  batch.noise = random.randn({net.img_channels(), resolution, resolution});
  if (classes > 0) {
    // The draw is made for forced classes too, so that churn noise does not depend on --class.
    Tensor index = random.randint(classes);
    if (class_idx) index.fill_(*class_idx);
    if (label_of_seed) {
      std::vector<Tensor> labels;
      for (const int64_t seed : seeds) labels.push_back(label_of_seed(seed));
      batch.labels = at::stack(labels).to(net.device());
    } else {
      batch.labels = at::one_hot(index, classes).to(at::kFloat);
    }
  }
  batch.latents = edm_sampler(
      net, gnet, batch.noise, batch.labels, sampler,
      [&](const Tensor& x) { return random.randn_like(x); }, on_step);
  if (decode) batch.images = encoder.decode(batch.latents);
  return batch;
}

std::vector<int64_t> frame_steps(int64_t frames, int64_t num_steps) {
  std::vector<int64_t> steps;
  const int64_t count = std::min(frames, num_steps);
  for (int64_t i = 0; i < count; ++i)  // rounded; the last one exactly
    steps.push_back(count == 1 ? num_steps - 1
                               : (2 * i * (num_steps - 1) + count - 1) / (2 * (count - 1)));
  return steps;
}

Sampler::Sampler(const NamedSource& net, const std::string& device, Precision precision,
                 EncoderSetup encoder, EngineKind engine)
    : Sampler(open_quietly(net), device, precision, std::move(encoder), engine) {}

Sampler::Sampler(StoredSnapshot net, const std::string& device, Precision precision,
                 EncoderSetup encoder, EngineKind engine)
    : precision_(precision), engine_(engine) {
  encoder.device = select_device(device);
  const Snapshot& said = net.description();
  encoder_ = make_encoder(said.encoder, std::move(encoder));
  takes_label_vectors_ = said.network.label_dim > 0 && said.dataset && said.dataset->vector_labels;
  activation_type_ = activation_dtype(precision, said.network.use_fp16, encoder.device);
  net_ = make_denoiser(std::move(net), precision, encoder.device, engine);
}

Sampler::Sampler(std::shared_ptr<Denoiser> net, std::shared_ptr<const Encoder> encoder)
    : net_(std::move(net)), encoder_(std::move(encoder)) {}

void Sampler::set_guide(const NamedSource& gnet, double strength) {
  set_guide(open_quietly(gnet), strength);
}

void Sampler::set_guide(StoredSnapshot gnet, double strength) {
  set_guide(make_denoiser(std::move(gnet), precision_, device(), engine_), strength);
}

void Sampler::set_guide(std::shared_ptr<Denoiser> gnet, double strength) {
  check_compatible(*net_, *gnet);
  gnet_ = std::move(gnet);
  options.guidance = strength;
}

void Sampler::check() const {
  validate(options);
  check_class(*net_, class_idx);
  check_labels(*net_, *this);
  if (max_batch_size < 1) throw UsageError("--batch must be at least 1");
  if (options.guidance != 1 && !gnet_) throw Error("Please specify --gnet when using guidance");
}

GeneratedBatch Sampler::generate_one_batch(std::span<const int64_t> seeds, bool decode) {
  const std::vector<int64_t> steps =
      decode ? frame_steps(frames, options.num_steps) : std::vector<int64_t>();
  Tensor stages;  // [N,F,3,H',W'] on the CPU
  size_t filled = 0;
  const auto add_stage = [&](const Tensor& images) {
    if (!stages.defined()) {
      auto shape = images.sizes().vec();
      shape.insert(shape.begin() + 1, static_cast<int64_t>(steps.size()));
      stages = at::empty(shape, at::kByte);
    }
    stages.select(1, static_cast<int64_t>(filled++)).copy_(images);
  };
  const auto after_step = [&](const SamplerStep& step) {
    check_interrupt();
    if (filled + 1 < steps.size() && step.step == steps[filled])
      add_stage(encoder_->decode(step.denoised.to(at::kFloat)));
    if (on_step) on_step(step);
  };
  GeneratedBatch batch = generate_batch(*net_, gnet_ ? *gnet_ : *net_, *encoder_, seeds, class_idx,
                                        options, decode, after_step, label_of_seed);
  if (on_not_finite) {
    const Tensor finite = batch.latents.isfinite().flatten(1).all(1).cpu();  // [N]
    for (size_t i = 0; i < seeds.size(); ++i)
      if (!finite[static_cast<int64_t>(i)].item<bool>()) on_not_finite(seeds[i]);
  }
  if (!steps.empty()) {
    add_stage(batch.images);  // the last stage is the picture itself
    batch.frames = stages;
  }
  return batch;
}

GeneratedBatch Sampler::generate(std::span<const int64_t> seeds, bool decode) {
  check();
  if (seeds.empty()) throw Error("no seeds were given to draw pictures from");
  std::vector<GeneratedBatch> parts;
  for (const auto& [begin, end] : split_batches(static_cast<int64_t>(seeds.size()), max_batch_size))
    parts.push_back(generate_one_batch(
        seeds.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), decode));
  return join(std::move(parts));
}

GeneratedBatch Sampler::generate(std::initializer_list<int64_t> seeds, bool decode) {
  return generate(std::span(seeds.begin(), seeds.size()), decode);
}

}  // namespace edm2
