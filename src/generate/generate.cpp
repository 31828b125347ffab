#include "edm2/generate/generate.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cstdio>
#include <cstdlib>

#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/nn/network.h"
#include "generate/contact_sheet.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

std::unique_ptr<Precond> load_network(const Snapshot& snapshot, const GenerateOptions& options,
                                      c10::Device device) {
  auto network = std::make_unique<Precond>(snapshot);
  network->precision = options.precision;
  network->to(device);
  return network;
}

void check_compatible(const Precond& net, const Precond& gnet) {
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

void check_class(const Precond& net, std::optional<int64_t> class_idx, Progress& progress) {
  if (!class_idx) return;
  if (net.label_dim() == 0)
    progress.message("Note: the network is unconditional, --class is ignored");
  else if (*class_idx >= net.label_dim())
    throw Error("--class=" + std::to_string(*class_idx) + " is out of range: the network knows " +
                std::to_string(net.label_dim()) + " classes, 0 to " +
                std::to_string(net.label_dim() - 1));
}

/// All batches together, for --grid and --npz.
struct Collected {
  std::vector<Tensor> images, latents, labels;
  std::vector<int64_t> seeds;

  void add(const GeneratedBatch& batch) {
    if (batch.images.defined()) images.push_back(batch.images.cpu());
    latents.push_back(batch.latents.cpu());
    if (batch.labels.defined()) labels.push_back(batch.labels.cpu());
    seeds.insert(seeds.end(), batch.seeds.begin(), batch.seeds.end());
  }
};

void write_collected(const GenerateOptions& options, const Collected& all) {
  if (all.seeds.empty()) return;
  if (options.grid)
    write_file(*options.grid, encode_png(contact_sheet(at::cat(all.images), options.grid_columns)));
  if (options.npz) {
    std::vector<std::pair<std::string, Tensor>> arrays;
    if (!all.images.empty())  // NHWC, as evaluation tools expect
      arrays.emplace_back("arr_0", at::cat(all.images).permute({0, 2, 3, 1}).contiguous());
    if (!all.labels.empty()) arrays.emplace_back("labels", at::cat(all.labels));
    arrays.emplace_back("seeds", at::tensor(all.seeds, at::kLong));
    arrays.emplace_back("latents", at::cat(all.latents));
    write_npz(*options.npz, arrays);
  }
}

}  // namespace

std::string image_file_name(int64_t seed, bool subdirs) {
  char name[64];
  std::snprintf(name, sizeof name, "%06lld.png", static_cast<long long>(seed));
  if (!subdirs) return name;
  const int64_t thousand = (seed >= 0 ? seed / 1000 : -((999 - seed) / 1000)) * 1000;
  char folder[64];
  std::snprintf(folder, sizeof folder, "%06lld/", static_cast<long long>(thousand));
  return std::string(folder) + name;
}

std::vector<std::pair<int64_t, int64_t>> split_batches(int64_t count, int64_t max_batch_size) {
  std::vector<std::pair<int64_t, int64_t>> parts;
  if (count == 0) return parts;
  const int64_t number = (count - 1) / max_batch_size + 1;
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
                              const StepCallback& on_step) {
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
    batch.labels = at::one_hot(index, classes).to(at::kFloat);
  }
  batch.latents = edm_sampler(
      net, gnet, batch.noise, batch.labels, sampler,
      [&](const Tensor& x) { return random.randn_like(x); }, on_step);
  if (decode) batch.images = encoder.decode(batch.latents);
  return batch;
}

void validate(const GenerateOptions& options) {
  const SamplerOptions& s = options.sampler;
  if (s.sigma_min >= s.sigma_max) throw UsageError("--sigma_min must be less than --sigma_max");
  if (options.max_batch_size < 1 || s.num_steps < 1)
    throw UsageError("--batch and --steps must be at least 1");
  if (!options.outdir && !options.grid && !options.npz)
    throw UsageError("nothing would be written; give --outdir, --grid or --npz");
  if (s.guidance != 1 && !options.gnet) throw Error("Please specify --gnet when using guidance");
}

void generate_images(const GenerateOptions& options, Progress& progress) {
  validate(options);
  const c10::Device device = select_device(options.device);

  progress.message("Loading main network from " + options.net.string() + " ...");
  const Snapshot snapshot = load_snapshot(options.net);
  const auto net = load_network(snapshot, options, device);
  std::unique_ptr<Precond> guide;
  if (options.sampler.guidance != 1) {
    progress.message("Loading guiding network from " + options.gnet->string() + " ...");
    guide = load_network(load_snapshot(*options.gnet), options, device);
    check_compatible(*net, *guide);
  } else if (options.gnet) {
    progress.message("Note: --gnet has no effect without --guidance");
  }
  check_class(*net, options.class_idx, progress);
  const auto encoder = make_encoder(snapshot.encoder);
  progress.message("Setting up " + encoder->name() + "...");
  const bool decode = options.outdir || options.grid || encoder->latent_channels() == 3;
  if (options.outdir) prepare_output_folder(*options.outdir);
  if (options.grid) prepare_output_folder(fs::absolute(*options.grid).parent_path(), "--grid");
  if (options.npz) prepare_output_folder(fs::absolute(*options.npz).parent_path(), "--npz");

  const auto count = static_cast<int64_t>(options.seeds.size());
  progress.message("Generating " + std::to_string(count) + " images...");
  progress.start("Generating", count * options.sampler.num_steps, "step");
  Collected all;
  for (const auto& [begin, end] : split_batches(count, options.max_batch_size)) {
    const auto seeds = std::span(options.seeds)
                           .subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const auto batch =
        generate_batch(*net, guide ? *guide : *net, *encoder, seeds, options.class_idx,
                       options.sampler, decode, [&](const SamplerStep&) {
                         check_interrupt();
                         progress.advance(static_cast<int64_t>(seeds.size()));
                       });
    if (options.outdir)
      for (size_t i = 0; i < seeds.size(); ++i) {
        const fs::path file = *options.outdir / image_file_name(seeds[i], options.subdirs);
        fs::create_directories(file.parent_path());
        write_file(file, encode_png(to_image(batch.images[static_cast<int64_t>(i)])));
      }
    if (options.grid || options.npz) all.add(batch);
  }
  progress.finish();
  write_collected(options, all);
}

}  // namespace edm2
