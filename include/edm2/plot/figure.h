/// Figures: one or more axes with lines, points, bands, bars, contours, pictures and heat maps, as
/// PNG, SVG and PDF.
///
///     plot::Figure figure;
///     plot::Axes& axes = figure.axes.emplace_back();
///     axes.x.label = "Training images";
///     axes.add(plot::Series{.label = "loss", .x = times, .y = losses});
///     plot::save_figure("loss.svg", figure);
///
/// Lengths (line widths, sizes of markers and letters) are in points, 1/72 inch. The same figure
/// gives the same bytes. In all texts `^{2}` sets "2" as a superscript and `_{i}` "i" as a
/// subscript.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "edm2/io/image.h"
#include "edm2/plot/color.h"

namespace edm2::plot {

/// How single points are drawn.
enum class Marker { none, circle, square, diamond, triangle, cross };
/// How lines are drawn.
enum class Dash { solid, dashed, dotted };
/// How a line goes from point to point; `steps` keeps a value up to the next x.
enum class Path { straight, steps };

/// How a series looks.
struct Style {
  std::optional<Color> color = {};  ///< none: the next of series_color()
  double line_width = 1.6;          ///< 0: no line
  Dash dash = Dash::solid;
  Marker marker = Marker::none;
  double marker_size = 5;  ///< diameter
};

/// A line, points, or both. Points that are not finite (or not positive on a logarithmic axis)
/// leave a gap.
struct Series {
  std::string label = {};  ///< legend entry; empty: none
  std::vector<double> x = {}, y = {};
  Style style = {};
  Path path = Path::straight;
};

/// Points without a line between them.
Series scatter(std::string label, std::vector<double> x, std::vector<double> y,
               double marker_size = 4, std::optional<Color> color = {});

/// The area between two curves over the same x.
struct Band {
  std::string label = {};
  std::vector<double> x = {}, low = {}, high = {};
  std::optional<Color> color = {};  ///< none: the colour of the series added next, at 20 % opacity
};

/// Bars from zero to `height`, centred at x.
struct Bars {
  std::string label = {};
  std::vector<double> x = {}, height = {};
  double width = 0.8;  ///< in units of x
  std::optional<Color> color = {};
};

/// A straight line across the whole axes.
struct Rule {
  std::string label = {};
  double at = 0;
  bool horizontal = true;  ///< at y = `at`, otherwise at x = `at`
  Style style = {.color = rgb(0x666666), .line_width = 1, .dash = Dash::dashed};
};

/// A text whose `anchor` ((0,0) = bottom left, (0.5,0.5) = centre) stands at (x, y).
struct Note {
  double x = 0, y = 0;
  std::string text = {};
  std::array<double, 2> anchor = {0, 0};
  double size = 9;
  Color color = rgb(0x333333);
};

/// Filled shapes, such as arrows; each at least three corners (x, y).
struct Polygons {
  std::string label = {};
  std::vector<std::vector<std::array<double, 2>>> shapes = {};
  Color color = rgb(0x333333);
};

/// Level sets of a function that is known on a regular grid.
struct Contours {
  int64_t columns = 0, rows = 0;    ///< at least 2 each
  std::vector<double> values = {};  ///< rows x columns; row 0 belongs to y0, column 0 to x0
  double x0 = 0, x1 = 1, y0 = 0, y1 = 1;
  std::vector<double> levels = {};  ///< ascending
  /// Colour of the values between levels k and k+1; one more for what is above the last level.
  /// Empty: no areas.
  std::vector<Color> fills = {};
  std::optional<Color> line = {};  ///< none: no lines
  double line_width = 1;
};

/// A picture (1, 3 or 4 channels) that covers [x0, x1] x [y0, y1]; its first row is at y1.
struct Picture {
  Image image = {};
  double x0 = 0, x1 = 1, y0 = 0, y1 = 1;
  bool smooth = true;  ///< false: pixels stay visible squares
};

/// A table of numbers as coloured cells. Cell (row r, column c) is centred at (c, r), row 0 at the
/// bottom; the axes' ranges and ticks follow from it.
struct HeatMap {
  int64_t columns = 0, rows = 0;
  std::vector<double> values = {};  ///< rows x columns; NaN = an empty cell
  std::vector<std::string> column_labels = {}, row_labels = {};
  std::vector<std::string> texts = {};  ///< in the cells, rows x columns; empty: none
  ColorMap map = ColorMap::viridis();
  std::optional<double> min = {}, max = {};              ///< none: of the values
  std::optional<std::array<int64_t, 2>> highlight = {};  ///< (row, column) of a framed cell
  bool color_bar = true;
  std::string color_bar_label = {};
};

using Layer = std::variant<Series, Band, Bars, Rule, Note, Polygons, Contours, Picture, HeatMap>;

/// How numbers are laid out along an axis.
enum class Scale { linear, log };

/// One of the two axes of a plot.
struct Axis {
  std::string label = {};
  Scale scale = Scale::linear;
  std::optional<double> min = {}, max = {};  ///< none: from the data, with a small margin
  /// Ticks with labels; none: chosen.
  std::optional<std::vector<std::pair<double, std::string>>> ticks = {};
};

/// Where the names of the series stand.
enum class Legend { automatic, top_left, top_right, bottom_left, bottom_right, outside, none };

/// Where numbers of `map` stand for themselves beside the axes.
struct ColorBar {
  ColorMap map = ColorMap::viridis();
  double min = 0, max = 1;
  std::string label = {};
};

/// One plot: its axes and what is drawn in them, in that order.
struct Axes {
  std::string title = {};
  Axis x = {}, y = {};
  bool grid = true;
  bool visible = true;        ///< false: no lines, ticks and labels around the data
  bool equal_aspect = false;  ///< a unit of x is as long as a unit of y
  Legend legend = Legend::automatic;
  std::optional<ColorBar> color_bar = {};
  std::vector<Layer> layers = {};  ///< painted in this order, clipped to the axes

  /// Appends a layer.
  void add(Layer layer) { layers.push_back(std::move(layer)); }
};

/// Plots in rows and columns.
struct Figure {
  std::string title = {};
  int64_t rows = 1, columns = 1;
  std::vector<Axes> axes = {};       ///< row by row, at most rows * columns
  double width = 6.4, height = 4.2;  ///< inches
  double font_size = 10;
  double dpi = 144;  ///< pixels per inch of PNG files
};

/// The figure as RGB pixels.
Image render_image(const Figure& figure);
/// The figure as the text of an SVG file; letters are outlines, so that it looks alike everywhere.
std::string render_svg(const Figure& figure);

/// The figure as the bytes of a PDF file of one page.
std::string render_pdf(const Figure& figure);

/// Writes a PNG, SVG or PDF file by the extension of `path`, atomically. Throws UsageError for
/// another extension, Error if the file cannot be written.
void save_figure(const std::filesystem::path& path, const Figure& figure);
/// Throws the UsageError of save_figure without drawing: to be called before long work.
void check_figure_path(const std::filesystem::path& path);

}  // namespace edm2::plot
