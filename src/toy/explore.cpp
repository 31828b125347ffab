#include "edm2/toy/explore.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <map>

#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/core/platform.h"
#include "edm2/metrics/manifold.h"
#include "edm2/toy/figure.h"

namespace edm2::toy {
namespace {

constexpr int64_t most_for_coverage = 4096;       // its cost grows with the square
constexpr int64_t points_for_quantile = 1 << 17;  // of the data's own density

void validate(const ExploreOptions& options) {
  if (options.guidances.empty()) throw UsageError("give at least one guidance weight");
  for (const double guidance : options.guidances)
    if (!std::isfinite(guidance)) throw UsageError("guidance weights must be finite numbers");
  if (options.num_samples < 16) throw UsageError("the number of samples must be at least 16");
  if (!(options.outlier_quantile > 0 && options.outlier_quantile < 1))
    throw UsageError("the share of data that counts as outliers must be between 0 and 1");
}

/// Judges points by the data that they should be from.
class Judge {
 public:
  explicit Judge(const ExploreOptions& options)
      : mixture_("A"), real_(draw(options.num_samples, options.seed + 1)) {
    const Tensor sorted =
        std::get<0>(log_density(draw(points_for_quantile, options.seed + 3)).sort());
    const auto rank = static_cast<int64_t>(options.outlier_quantile * points_for_quantile);
    threshold_ = sorted[rank].item<double>();
  }

  Tensor draw(int64_t count, int64_t seed) const {
    return mixture_.sample(count, at::tensor(0.0f),
                           at::detail::createCPUGenerator(static_cast<uint64_t>(seed)));
  }

  ExploreRow judge(std::string guide, double guidance, const Tensor& points) const {
    const Tensor values = log_density(points).to(at::kDouble);
    const auto first = [](const Tensor& all) { return all.slice(0, 0, most_for_coverage); };
    return {.guide = std::move(guide),
            .guidance = guidance,
            .outliers = (values < threshold_).to(at::kDouble).mean().item<double>(),
            .mean_log_density = values.mean().item<double>(),
            .coverage = manifold_scores(first(points), first(real_)).coverage.value};
  }

 private:
  Tensor log_density(const Tensor& points) const {
    return mixture_.density(points, at::tensor(0.0f)).log_density;
  }

  Mixture mixture_;
  Tensor real_;  // [N,2]
  double threshold_ = 0;
};

std::string number(double value) { return format_number("%.6g", value); }

}  // namespace

std::vector<ExploreRow> explore_guidance(const Model& net, const std::vector<NamedGuide>& guides,
                                         const ExploreOptions& options, Progress& progress) {
  validate(options);
  const Judge judge(options);
  const Tensor start =
      starting_points(options.num_samples, options.sampler.sigma_max, options.seed);
  std::vector<ExploreRow> rows = {
      judge.judge("data", 1, judge.draw(options.num_samples, options.seed + 2))};
  progress.start("Sampling", static_cast<int64_t>(guides.size() * options.guidances.size()), "run");
  std::optional<ExploreRow> unguided;
  for (const NamedGuide& guide : guides)
    for (const double guidance : options.guidances) {
      check_interrupt();
      if (guidance == 1 && unguided) {
        rows.push_back(*unguided);
        rows.back().guide = guide.name;
      } else {
        SamplerOptions sampler = options.sampler;
        sampler.guidance = guidance;
        const auto churn = at::detail::createCPUGenerator(static_cast<uint64_t>(options.seed));
        const Tensor samples =
            sample_trajectories(net, guide.model, start, sampler, churn).positions[-1];
        rows.push_back(judge.judge(guide.name, guidance, samples));
        if (guidance == 1) unguided = rows.back();
      }
      progress.advance();
    }
  progress.finish();
  return rows;
}

std::string to_csv(const std::vector<ExploreRow>& rows) {
  std::string text = "guide,guidance,outliers,mean_log_density,coverage\n";
  for (const ExploreRow& row : rows)
    text += row.guide + ',' + number(row.guidance) + ',' + number(row.outliers) + ',' +
            number(row.mean_log_density) + ',' + number(row.coverage) + '\n';
  return text;
}

plot::Figure plot_exploration(const std::vector<ExploreRow>& rows) {
  plot::Figure figure{.rows = 1, .columns = 2, .width = 9.6, .height = 4};
  const std::pair<const char*, double ExploreRow::*> columns[] = {
      {"Samples outside of the data, %", &ExploreRow::outliers},
      {"Coverage of the data, %", &ExploreRow::coverage}};
  for (const auto& [label, member] : columns) {
    plot::Axes& axes = figure.axes.emplace_back();
    axes.x.label = "Guidance weight";
    axes.y.label = label;
    axes.y.min = 0;
    std::map<std::string, plot::Series> series;
    std::vector<std::string> order;
    for (const ExploreRow& row : rows) {
      if (row.guide == "data") {
        axes.add(plot::Rule{.label = "data", .at = 100 * row.*member});
        continue;
      }
      auto& line = series[row.guide];
      if (line.x.empty()) order.push_back(row.guide);
      line.label = row.guide;
      line.style.marker = plot::Marker::circle;
      line.x.push_back(row.guidance);
      line.y.push_back(100 * row.*member);
    }
    for (const std::string& name : order) axes.add(series[name]);
  }
  return figure;
}

std::vector<std::byte> animate_trajectories(const Trajectories& trajectories, int64_t size,
                                            Progress& progress) {
  constexpr int frame_milliseconds = 80, last_milliseconds = 2500;
  const Background background(wide_view);
  const int64_t frames = trajectories.positions.size(0);
  WebpAnimation animation(size, size);
  progress.start("Drawing", frames, "frame");
  for (int64_t i = 0; i < frames; ++i) {
    check_interrupt();
    plot::Figure figure{.width = 6, .height = 6};
    figure.dpi = static_cast<double>(size) / 6;
    plot::Axes axes = make_panel(
        wide_view, format_number("noise level %.3g", trajectories.sigmas[i].item<double>()));
    background.add_to(axes);
    plot::Series dots = make_dots(trajectories.positions[i]);
    dots.style.marker_size = 3;
    axes.add(std::move(dots));
    figure.axes.push_back(std::move(axes));
    animation.add(plot::render_image(figure),
                  i + 1 < frames ? frame_milliseconds : last_milliseconds);
    progress.advance();
  }
  progress.finish();
  return animation.finish();
}

}  // namespace edm2::toy
