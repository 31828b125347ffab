/// The figure of the 2D example (arXiv 2406.02507, Figures 1 and 2) and its parts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "edm2/core/progress.h"
#include "edm2/plot/figure.h"
#include "edm2/toy/models.h"

namespace edm2::toy {

/// A square window into the plane.
struct View {
  double center_x = 0, center_y = 0, half_size = 1;
};

constexpr View whole_view = {0, 0, 1.6};         ///< both classes
constexpr View wide_view = {0.30, 0.30, 1.2};    ///< class A
constexpr View zoomed_view = {0.45, 1.22, 0.3};  ///< the end of a branch of class A

/// Empty axes of that window, without lines around.
plot::Axes make_panel(const View& view, const std::string& title);

/// Areas where the two classes (grey) and class A (orange) have most of their data.
class Background {
 public:
  /// `grid`: points in a row and in a column at which the densities are computed.
  explicit Background(const View& view, int64_t grid = 400);
  /// Puts the areas behind what the axes show.
  void add_to(plot::Axes& axes) const;

 private:
  plot::Contours both_, first_;
};

/// Dots, as the panels of samples have them. points: [N,2].
plot::Series make_dots(const Tensor& points);

/// [count,2]: noisy points of class A at sigma_max, drawn by a generator of that seed: where
/// sampling starts.
Tensor starting_points(int64_t count, double sigma_max, int64_t seed = 1);

/// How fine the figure is.
struct FigureOptions {
  double guidance = 3;
  int64_t grid = 400;             ///< densities are evaluated at grid x grid points
  int64_t wide_samples = 16384;   ///< dots of the panels of samples
  int64_t zoomed_samples = 4096;  ///< candidates for trajectories, before they are thinned
};

/// The original's eight panels, 48 x 25 inches at 80 dpi.
plot::Figure draw_figure(const Model& net, const Model& gnet, const FigureOptions& options,
                         Progress& progress);

}  // namespace edm2::toy
