#include "edm2/toy/figure.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "edm2/core/platform.h"

namespace edm2::toy {
namespace {

using plot::Color;
using plot::rgb;

constexpr double wide_sigma_max = 5, zoomed_sigma_max = 0.03;
constexpr double thinning = 0.045;  // least distance between starting points of the zoomed view
constexpr double outline_width = 2.5;
const Color outline_color = rgb(0x000000, 0.2);
const Color main_color = rgb(0x2ca02c), guide_color = rgb(0xd62728), ratio_color = rgb(0x1f77b4);

std::vector<double> to_vector(const Tensor& values) {
  const Tensor flat = values.to(at::kDouble).contiguous();
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

/// Points of a regular grid over the view, [grid * grid, 2], x fastest.
Tensor grid_points(const View& view, int64_t grid) {
  const auto line = [&](double center) {
    return at::linspace(center - view.half_size, center + view.half_size, grid,
                        at::TensorOptions(at::kFloat));
  };
  const Tensor x = line(view.center_x).expand({grid, grid});
  const Tensor y = line(view.center_y).unsqueeze(1).expand({grid, grid});
  return at::stack({x, y}, -1).flatten(0, 1).contiguous();
}

/// `count` levels evenly between low and high, which are none of them, in the colours of a map.
plot::Contours shaded(double low, double high, int count, const plot::ColorMap& map) {
  plot::Contours look{.line = outline_color, .line_width = outline_width};
  const double step = (high - low) / (count - 1);
  for (int i = 1; i + 1 < count; ++i) look.levels.push_back(low + step * i);
  const double first = look.levels.front(), last = look.levels.back();
  for (size_t i = 0; i + 1 < look.levels.size(); ++i)
    look.fills.push_back(
        map.at(((look.levels[i] + look.levels[i + 1]) / 2 - first) / (last - first)));
  look.fills.push_back(map.at(1));
  return look;
}

/// One level and what is above it.
plot::Contours one_level(double level, Color fill, Color line, double line_width) {
  return {.levels = {level, 0}, .fills = {fill, fill}, .line = line, .line_width = line_width};
}

/// Level sets of a log density, drawn at -sqrt(max - v), which is 0 at the peak and falls like the
/// distance from it where the density is Gaussian; with the levels and colours of `look`.
plot::Contours level_sets(const View& view, int64_t grid, const Tensor& values,
                          plot::Contours look) {
  look.columns = look.rows = grid;
  look.values = to_vector(-(values.max() - values).sqrt());
  look.x0 = view.center_x - view.half_size;
  look.x1 = look.x0 + 2 * view.half_size;
  look.y0 = view.center_y - view.half_size;
  look.y1 = look.y0 + 2 * view.half_size;
  return look;
}

plot::Contours areas_of(plot::Contours contours) {
  contours.line.reset();
  return contours;
}

plot::Contours lines_of(plot::Contours contours) {
  contours.fills.clear();
  return contours;
}

plot::Contours classes_at(const char* classes, double sigma, const View& view, int64_t grid,
                          plot::Contours look) {
  const Tensor level = at::scalar_tensor(sigma, at::kFloat);
  const Tensor values = Mixture(classes).density(grid_points(view, grid), level).log_density;
  return level_sets(view, grid, values, std::move(look));
}

/// Walks in order and keeps a point that is not too close to one kept before. points: [N,2].
Tensor thin_out(const Tensor& points) {
  std::vector<int64_t> kept;
  const Tensor contiguous = points.contiguous();
  const float* p = contiguous.const_data_ptr<float>();
  for (int64_t i = 0; i < points.size(0); ++i) {
    const auto is_close = [&](int64_t k) {
      return std::hypot(p[2 * i] - p[2 * k], p[2 * i + 1] - p[2 * k + 1]) < thinning;
    };
    if (std::none_of(kept.begin(), kept.end(), is_close)) kept.push_back(i);
  }
  return points.index({at::tensor(kept)});
}

plot::Series big_points(const Tensor& points) {
  return plot::scatter("", to_vector(points.select(1, 0)), to_vector(points.select(1, 1)), 15,
                       rgb(0x000000));
}

/// One arrow with its tail at the origin, pointing along x; lengths in units of its shaft's width.
std::vector<std::array<double, 2>> arrow_shape(double length) {
  constexpr double head_width = 4, head_length = 3, head_axis_length = 2.5;
  if (length < 1) {  // too short to have a direction: a hexagon
    std::vector<std::array<double, 2>> hexagon;
    for (int i = 0; i < 6; ++i) {
      const double angle = i * std::numbers::pi / 3;
      hexagon.push_back({0.5 * std::cos(angle), 0.5 * std::sin(angle)});
    }
    return hexagon;
  }
  const double full = std::max(length, head_length), shrink = length / full;
  std::vector<std::array<double, 2>> shape = {
      {0, -0.5}, {full - head_axis_length, -0.5},      {full - head_length, -head_width / 2},
      {full, 0}, {full - head_length, head_width / 2}, {full - head_axis_length, 0.5},
      {0, 0.5}};
  for (auto& corner : shape) corner = {corner[0] * shrink, corner[1] * shrink};
  return shape;
}

/// Arrows along `scores` [N,2] from `points` [N,2].
plot::Polygons arrows(const View& view, const Tensor& points, const Tensor& scores, Color color) {
  constexpr double length_of_unit = 0.002 / 0.6, shaft_width = 0.005;  // of the axes' width
  const double width = 2 * view.half_size * shaft_width;
  plot::Polygons polygons{.color = color};
  const Tensor p = points.to(at::kDouble).contiguous(), s = scores.to(at::kDouble).contiguous();
  for (int64_t i = 0; i < p.size(0); ++i) {
    const double *from = p.const_data_ptr<double>() + 2 * i,
                 *score = s.const_data_ptr<double>() + 2 * i;
    const double norm = std::hypot(score[0], score[1]);
    const double cosine = norm > 0 ? score[0] / norm : 1, sine = norm > 0 ? score[1] / norm : 0;
    auto shape = arrow_shape(norm * length_of_unit / shaft_width);
    for (auto& [x, y] : shape) {
      const double u = x * width, v = y * width;
      x = from[0] + cosine * u - sine * v;
      y = from[1] + sine * u + cosine * v;
    }
    polygons.shapes.push_back(std::move(shape));
  }
  return polygons;
}

class FigurePainter {
 public:
  FigurePainter(const Model& net, const Model& gnet, const FigureOptions& options,
                Progress& progress)
      : net_(net),
        gnet_(gnet),
        options_(options),
        progress_(progress),
        background_(wide_view, options.grid),
        wide_start_(starting_points(options.wide_samples, wide_sigma_max)),
        zoomed_start_(thin_out(starting_points(options.zoomed_samples, zoomed_sigma_max))) {}

  plot::Figure draw() {
    plot::Figure figure{.rows = 2, .columns = 4, .width = 48, .height = 25};
    figure.font_size = 28;
    figure.dpi = 80;
    progress_.start("Drawing", 8, "panel");
    const ExactModel exact{Mixture("A")};
    const Tensor sigma = at::scalar_tensor(zoomed_sigma_max, at::kFloat);
    const auto add = [&](plot::Axes axes) {
      figure.axes.push_back(std::move(axes));
      progress_.advance();
      check_interrupt();
    };
    add(samples("Ground truth distribution", exact, nullptr));
    add(samples("Sample distribution without guidance", net_, nullptr));
    add(samples("Sample distribution with guidance", net_, &gnet_));
    add(trajectories("Trajectories without guidance", nullptr));
    const Tensor grid = grid_points(zoomed_view, options_.grid);
    const Tensor net_density = net_.log_density(grid, sigma);
    const Tensor gnet_density = gnet_.log_density(grid, sigma);
    const Tensor net_score = net_.score(zoomed_start_, sigma);
    const Tensor gnet_score = gnet_.score(zoomed_start_, sigma);
    add(density("PDF of main model", net_density, shaded(-2.5, 2.5, 20, plot::ColorMap::greens()),
                net_score, main_color));
    add(density("PDF of guiding model", gnet_density, shaded(-2.5, 3.5, 20, plot::ColorMap::reds()),
                gnet_score, guide_color));
    add(density("PDF ratio (main / guiding)", net_density - gnet_density,
                shaded(-2.2, 1.0, 20, plot::ColorMap::blues()), net_score - gnet_score,
                ratio_color));
    add(trajectories("Trajectories with guidance", &gnet_));
    progress_.finish();
    return figure;
  }

 private:
  Tensor sample(const Model& model, const Model* guide, const Tensor& start,
                double sigma_max) const {
    SamplerOptions sampler = default_sampler_options();
    sampler.sigma_max = sigma_max;
    sampler.guidance = options_.guidance;
    return sample_trajectories(model, guide, start, sampler).positions;
  }

  plot::Axes samples(const char* title, const Model& model, const Model* guide) const {
    plot::Axes axes = make_panel(wide_view, title);
    background_.add_to(axes);
    axes.add(make_dots(sample(model, guide, wide_start_, wide_sigma_max)[-1]));
    return axes;
  }

  plot::Axes trajectories(const char* title, const Model* guide) const {
    plot::Axes axes = make_panel(zoomed_view, title);
    axes.add(classes_at("A", 0, zoomed_view, options_.grid,
                        shaded(-2.5, 3.07, 15, plot::ColorMap::oranges())));
    const Tensor positions = sample(net_, guide, zoomed_start_, zoomed_sigma_max);
    for (int64_t i = 0; i < positions.size(1); ++i) {
      const Tensor path = positions.select(1, i);
      axes.add(plot::Series{.x = to_vector(path.select(1, 0)),
                            .y = to_vector(path.select(1, 1)),
                            .style = {.color = rgb(0x000000, 0.3), .line_width = 5}});
    }
    axes.add(big_points(positions[-1]));
    return axes;
  }

  plot::Axes density(const char* title, const Tensor& log_density, plot::Contours look,
                     const Tensor& score, Color color) const {
    plot::Axes axes = make_panel(zoomed_view, title);
    const plot::Contours model =
        level_sets(zoomed_view, options_.grid, log_density, std::move(look));
    const plot::Contours noisy_data =
        classes_at("A", zoomed_sigma_max, zoomed_view, options_.grid,
                   one_level(-1.41, rgb(0xff7f0e, 0.2), outline_color, outline_width));
    axes.add(areas_of(model));
    axes.add(areas_of(noisy_data));
    axes.add(arrows(zoomed_view, zoomed_start_, score, color));
    axes.add(lines_of(model));
    axes.add(lines_of(noisy_data));
    axes.add(big_points(zoomed_start_));
    return axes;
  }

  const Model& net_;
  const Model& gnet_;
  const FigureOptions& options_;
  Progress& progress_;
  Background background_;
  Tensor wide_start_, zoomed_start_;  // [N,2]
};

}  // namespace

plot::Axes make_panel(const View& view, const std::string& title) {
  plot::Axes axes;
  axes.title = title;
  axes.x = {.min = view.center_x - view.half_size, .max = view.center_x + view.half_size};
  axes.y = {.min = view.center_y - view.half_size, .max = view.center_y + view.half_size};
  axes.grid = axes.visible = false;
  axes.equal_aspect = true;
  return axes;
}

Background::Background(const View& view, int64_t grid)
    : both_(
          classes_at("AB", 0, view, grid, one_level(-2.12, {0.9, 0.9, 0.9}, {0.7, 0.7, 0.7}, 1.5))),
      first_(
          classes_at("A", 0, view, grid, one_level(-2.12, {1, 0.8, 0.6}, {0.8, 0.6, 0.5}, 1.5))) {}

void Background::add_to(plot::Axes& axes) const {
  axes.add(areas_of(both_));
  axes.add(areas_of(first_));
  axes.add(lines_of(both_));
  axes.add(lines_of(first_));
}

plot::Series make_dots(const Tensor& points) {
  return plot::scatter("", to_vector(points.select(1, 0)), to_vector(points.select(1, 1)), 7.5,
                       rgb(0x000000, 0.25));
}

Tensor starting_points(int64_t count, double sigma_max, int64_t seed) {
  return Mixture("A").sample(count, at::scalar_tensor(sigma_max, at::kFloat),
                             at::detail::createCPUGenerator(static_cast<uint64_t>(seed)));
}

plot::Figure draw_figure(const Model& net, const Model& gnet, const FigureOptions& options,
                         Progress& progress) {
  return FigurePainter(net, gnet, options, progress).draw();
}

}  // namespace edm2::toy
