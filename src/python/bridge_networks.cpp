#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <map>
#include <nlohmann/json.hpp>

#include "edm2/core/error.h"
#include "edm2/engine/engine.h"
#include "edm2/generate/generate.h"
#include "edm2/generate/network_source.h"
#include "edm2/generate/sampler.h"
#include "edm2/generate/sampling_options.h"
#include "python/arrays.h"
#include "python/bridge_parts.h"
#include "python/translate.h"

namespace edm2::python {
namespace {

NetworkFacts facts_of(const edm2::Denoiser& net, bool vector_labels) {
  return {net.img_channels(), net.img_resolution(), net.label_dim(), vector_labels,
          net.device().str()};
}

/// Rows of a tensor [N,K] for the seeds of a call, in their order.
class LabelRows {
 public:
  LabelRows(Tensor labels, const std::vector<int64_t>& seeds) : labels_(std::move(labels)) {
    if (labels_.dim() == 1) labels_ = labels_.unsqueeze(0).expand({-1, -1});
    const auto count = static_cast<int64_t>(seeds.size());
    if (labels_.dim() != 2 || (labels_.size(0) != 1 && labels_.size(0) != count))
      throw UsageError("labels must be one vector, or one for each of the " +
                       std::to_string(count) + " seeds");
    labels_ = labels_.to(at::kFloat);
    for (size_t i = 0; i < seeds.size(); ++i)
      rows_[seeds[i]] = labels_.size(0) == 1 ? 0 : static_cast<int64_t>(i);
  }
  /// Seeds that are not among those of the call get the first row, for its length.
  Tensor operator()(int64_t seed) const {
    const auto found = rows_.find(seed);
    return labels_[found == rows_.end() ? 0 : found->second];
  }

 private:
  Tensor labels_;
  std::map<int64_t, int64_t> rows_;
};

class LibrarySampler final : public Sampler {
 public:
  LibrarySampler(const GenerateOptions& options, std::shared_ptr<Progress> progress,
                 SamplingRequest request)
      : progress_(std::move(progress)),
        request_(std::move(request)),
        sampler_(load_sampler(options, *progress_)) {}

  NetworkFacts facts() const override {
    return facts_of(sampler_.net(), sampler_.takes_label_vectors());
  }

  void set_guide(const std::string& gnet, double guidance) override {
    translated([&] {
      sampler_.set_guide(open_network_source(gnet, {}, *progress_), guidance);
      request_.guidance = guidance;
    });
  }

  void set_options(const std::string& json) override {
    take(nlohmann::json::parse(json), request_);
    apply_to(sampler_, request_);
  }

  std::string options() const override {
    nlohmann::ordered_json values;
    for (const auto* table : {&label_options(), &solver_options()})
      for (const auto& option : *table) {
        if (const auto value = option.get(request_))
          values[option_key(option.name)] = to_json(*value);
        else
          values[option_key(option.name)] = nullptr;
      }
    values["guidance"] = sampler_.options.guidance;
    return values.dump();
  }

  Pictures generate(const std::vector<int64_t>& seeds, const std::string& options_json,
                    Array labels, bool decode, const OnStep& on_step) override {
    return translated([&] {
      SamplingRequest request = request_;
      take(nlohmann::json::parse(options_json), request);
      const Restore restore(*this);
      apply_to(sampler_, request);
      if (labels)
        sampler_.label_of_seed = LabelRows(to_tensor(std::move(labels)), seeds);
      else if (request.label_vector)
        sampler_.label_of_seed = LabelRows(at::tensor(*request.label_vector, at::kDouble), seeds);
      if (on_step)
        sampler_.on_step = [&](const SamplerStep& step) {
          on_step(step.step, sampler_.options.num_steps, step.sigma,
                  to_array(step.denoised.to(at::kFloat)));
        };
      GeneratedBatch batch = sampler_.generate(seeds, decode);
      return Pictures{to_array(batch.images), to_array(batch.latents), to_array(batch.labels)};
    });
  }

  Array decode(Array latents) override {
    return translated([&] {
      const c10::NoGradGuard no_grad;
      const Tensor given = to_tensor(std::move(latents));
      if (given.dim() != 4 || given.size(1) != sampler_.net().img_channels())
        throw UsageError("latents must be [N," + std::to_string(sampler_.net().img_channels()) +
                         ",H,W]");
      return to_array(sampler_.encoder().decode(given.to(sampler_.device(), at::kFloat)));
    });
  }

 private:
  /// Puts back what one call has set.
  class Restore {
   public:
    explicit Restore(LibrarySampler& owner) : owner_(owner) {}
    ~Restore() {
      owner_.sampler_.label_of_seed = {};
      owner_.sampler_.on_step = {};
      apply_to(owner_.sampler_, owner_.request_);
    }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

   private:
    LibrarySampler& owner_;
  };

  /// Options that can change between calls; those that chose the networks cannot.
  static void take(const nlohmann::json& json, SamplingRequest& request) {
    for_each_option(json, [](const std::string& key, const nlohmann::json&) {
      for (const auto& option : network_options())
        if (option_key(option.name) == option_key(key))
          throw UsageError("'" + key + "' is chosen when the sampler is made");
      for (const char* other : {"seeds", "labels", "engine", "fast"})
        if (key == other) throw UsageError("'" + key + "' is no option that a sampler can change");
    });
    edm2::sampling_options().fill(request, json);
  }

  static void apply_to(edm2::Sampler& sampler, const SamplingRequest& request) {
    const double guidance = request.guidance.value_or(sampler.options.guidance);
    sampler.options = request.sampler;
    sampler.options.guidance = guidance;
    sampler.class_idx = request.class_idx;
    sampler.max_batch_size = request.max_batch_size;
  }

  std::shared_ptr<Progress> progress_;  // the sampler warns by it
  SamplingRequest request_;
  edm2::Sampler sampler_;
};

class LibraryDenoiser final : public Denoiser {
 public:
  LibraryDenoiser(std::shared_ptr<edm2::Denoiser> net, bool vector_labels)
      : net_(std::move(net)), vector_labels_(vector_labels) {}

  NetworkFacts facts() const override { return facts_of(*net_, vector_labels_); }

  Array denoise(Array x, Array sigma, Array labels) override {
    return translated([&] {
      const c10::NoGradGuard no_grad;
      const Tensor images = to_tensor(std::move(x)), levels = to_tensor(std::move(sigma)),
                   classes = to_tensor(std::move(labels));
      check(images, levels, classes);
      return to_array(net_->denoise(images, levels, classes));
    });
  }

 private:
  void check(const Tensor& x, const Tensor& sigma, const Tensor& labels) const {
    const int64_t channels = net_->img_channels(), size = net_->img_resolution(),
                  classes = net_->label_dim();
    if (x.dim() != 4 || x.sizes().slice(1) != at::IntArrayRef{channels, size, size} ||
        !at::isFloatingType(x.scalar_type()))
      throw UsageError("x must be floating-point images [N," + std::to_string(channels) + "," +
                       std::to_string(size) + "," + std::to_string(size) + "]");
    const auto on_device = [&](const Tensor& tensor, const char* name) {
      if (tensor.device() != net_->device())
        throw UsageError(std::string(name) + " is on " + tensor.device().str() +
                         ", the network on " + net_->device().str());
    };
    on_device(x, "x");
    on_device(sigma, "sigma");
    if (sigma.numel() != 1 && (sigma.dim() != 1 || sigma.size(0) != x.size(0)))
      throw UsageError("sigma must be one number, or one for each of the " +
                       std::to_string(x.size(0)) + " images");
    if (!labels.defined()) return;
    on_device(labels, "labels");
    if (classes > 0 &&
        (labels.dim() != 2 || labels.size(0) != x.size(0) || labels.size(1) != classes))
      throw UsageError("labels must be [" + std::to_string(x.size(0)) + "," +
                       std::to_string(classes) + "]");
  }

  std::shared_ptr<edm2::Denoiser> net_;
  bool vector_labels_;
};

}  // namespace

std::unique_ptr<Sampler> make_sampler(const std::string& request_json,
                                      const ComputeOptions& compute, const Reporter& reporter) {
  return translated([&] {
    SamplingRequest request;
    edm2::sampling_options().fill(request, nlohmann::json::parse(request_json));
    request.engine = parse_engine(compute.engine);
    if (compute.vae) request.vae = *compute.vae;
    GenerateOptions options;
    edm2::apply(request, options);
    options.device = compute.device;
    options.precision = parse_precision(compute.precision);
    options.fetch.offline = compute.offline;
    options.seeds = {0};
    request.guidance = options.sampler.guidance;
    return std::make_unique<LibrarySampler>(options, make_reporting_progress(reporter),
                                            std::move(request));
  });
}

std::unique_ptr<Denoiser> make_python_denoiser(const std::string& source,
                                               const ComputeOptions& compute,
                                               const Reporter& reporter) {
  return translated([&] {
    const auto progress = make_reporting_progress(reporter);
    StoredSnapshot stored = open_network_source(source, {.offline = compute.offline}, *progress);
    const auto& dataset = stored.description().dataset;
    const bool vector_labels = dataset && dataset->vector_labels;
    return std::make_unique<LibraryDenoiser>(
        make_denoiser(std::move(stored), parse_precision(compute.precision),
                      select_device(compute.device), parse_engine(compute.engine)),
        vector_labels);
  });
}

}  // namespace edm2::python
