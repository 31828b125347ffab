#include "edm2/plot/figure.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2::plot {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::array<int, 3> pixel(const Image& image, double x, double y) {
  const auto column = static_cast<int64_t>(x * static_cast<double>(image.width));
  const auto row = static_cast<int64_t>(y * static_cast<double>(image.height));
  const uint8_t* p = &image.pixels[static_cast<size_t>((row * image.width + column) * 3)];
  return {p[0], p[1], p[2]};
}

int64_t count(const Image& image, std::array<int, 3> color) {
  int64_t n = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3)
    n += image.pixels[i] == color[0] && image.pixels[i + 1] == color[1] &&
         image.pixels[i + 2] == color[2];
  return n;
}

// One layer on axes without decoration that fill the figure but for a margin of 7 points.
Figure bare(Layer layer) {
  Figure figure{.width = 4 + 14.0 / 72, .height = 4 + 14.0 / 72, .dpi = 72};
  Axes& axes = figure.axes.emplace_back();
  axes.visible = false;
  axes.x.min = axes.y.min = -2;
  axes.x.max = axes.y.max = 2;
  axes.add(std::move(layer));
  return figure;
}

const std::array<int, 3> white{255, 255, 255}, red{255, 0, 0};

Contours paraboloid() {
  Contours grid{.columns = 81, .rows = 61, .x0 = -2, .x1 = 2, .y0 = -2, .y1 = 2};
  for (int64_t row = 0; row < grid.rows; ++row)
    for (int64_t column = 0; column < grid.columns; ++column) {
      const double x = -2 + 4.0 * static_cast<double>(column) / 80;
      const double y = -2 + 4.0 * static_cast<double>(row) / 60;
      grid.values.push_back(-(x * x + y * y));
    }
  return grid;
}

// Everything that figures can have, for the eye (EDM2_FIGURE_DIR) and for the tests below.
Figure gallery() {
  Figure figure{.title = "Gallery \u03c3_{rel} and 10^{2}",
                .rows = 2,
                .columns = 3,
                .axes = {},
                .width = 13,
                .height = 7.5};
  Axes& lines = figure.axes.emplace_back();
  lines.title = "Lines, markers, bands";
  lines.x.label = "Training images";
  lines.y.label = "Loss";
  std::vector<double> x, a, b, low, high;
  for (int i = 0; i <= 40; ++i) {
    x.push_back(i * 52428.8);
    a.push_back(0.4 + std::exp(-i / 8.0) + 0.01 * std::sin(9.0 * i));
    b.push_back(i > 18 && i < 23 ? nan : 0.5 + 0.7 * std::exp(-i / 15.0));
    low.push_back(a.back() - 0.08);
    high.push_back(a.back() + 0.08);
  }
  lines.add(Band{.x = x, .low = low, .high = high});
  lines.add(Series{.label = "autoguidance", .x = x, .y = a});
  lines.add(Series{.label = "with a gap",
                   .x = x,
                   .y = b,
                   .style = {.dash = Dash::dashed, .marker = Marker::square, .marker_size = 4}});
  lines.add(Rule{.label = "floor", .at = 0.4});

  Axes& logs = figure.axes.emplace_back();
  logs.title = "Logarithmic scales";
  logs.x = {.label = "Denoiser evaluations", .scale = Scale::log};
  logs.y = {.label = "Error", .scale = Scale::log};
  const Marker markers[] = {Marker::circle, Marker::square, Marker::diamond, Marker::triangle,
                            Marker::cross};
  for (int order = 1; order <= 5; ++order) {
    Series series{.label = "order " + std::to_string(order),
                  .style = {.marker = markers[order - 1]}};
    for (int n = 4; n <= 512; n *= 2) {
      series.x.push_back(n);
      series.y.push_back(std::pow(n, -0.6 * order));
    }
    logs.add(series);
  }

  Axes& steps = figure.axes.emplace_back();
  steps.title = "Bars, steps, notes";
  steps.x.label = "Snapshot";
  steps.y.label = "Coefficient";
  Bars bars{.label = "coefficients"};
  Series stairs{.label = "steps", .path = Path::steps};
  for (int i = 0; i < 10; ++i) {
    bars.x.push_back(i);
    bars.height.push_back(std::sin(0.9 * i) * std::exp(0.1 * i));
    stairs.x.push_back(i - 0.5);
    stairs.y.push_back(0.2 * i - 1);
  }
  steps.add(bars);
  steps.add(stairs);
  steps.add(Note{.x = 2, .y = 1.6, .text = "maximum", .anchor = {0.5, 0}});

  Axes& heat = figure.axes.emplace_back();
  heat.title = "FID";
  heat.x.label = "EMA length \u03c3_{rel}";
  heat.y.label = "Guidance";
  HeatMap map{.columns = 6,
              .rows = 5,
              .column_labels = {},
              .row_labels = {},
              .map = ColorMap::viridis().reversed(),
              .highlight = std::array<int64_t, 2>{2, 3},
              .color_bar_label = "FID"};
  for (int row = 0; row < 5; ++row) {
    map.row_labels.push_back(std::to_string(1 + row * 0.5).substr(0, 3));
    for (int column = 0; column < 6; ++column) {
      const double value = 2.1 + (row - 2) * (row - 2) * 0.7 + std::pow(column - 3, 2) * 0.31;
      map.values.push_back(row == 4 && column == 0 ? nan : value);
      map.texts.push_back(row == 4 && column == 0 ? "" : std::to_string(value).substr(0, 4));
    }
  }
  for (int column = 0; column < 6; ++column)
    map.column_labels.push_back("0." + std::to_string(100 + 15 * column));
  heat.add(map);

  Axes& contour = figure.axes.emplace_back();
  contour.title = "Contours and points";
  contour.equal_aspect = true;
  Contours grid = paraboloid();
  for (double level = -6; level <= 0; level += 0.5) {
    grid.levels.push_back(level);
    grid.fills.push_back(ColorMap::oranges().at((level + 6.5) / 7));
  }
  grid.line = rgb(0, 0.2);
  contour.add(grid);
  std::vector<double> px, py;
  for (int i = 0; i < 400; ++i) {
    px.push_back(1.2 * std::sin(12.9898 * i) * std::sin(3.0 * i));
    py.push_back(1.2 * std::sin(78.233 * i) * std::cos(5.0 * i));
  }
  contour.add(scatter("samples", px, py, 3, rgb(0, 0.35)));
  contour.add(Polygons{.shapes = {{{0, 0}, {0.8, 0.7}, {0.9, 0.5}}}, .color = rgb(0x0072b2)});

  Axes& outside = figure.axes.emplace_back();
  outside.title = "Legend outside, picture";
  outside.legend = Legend::outside;
  Image image{.width = 2,
              .height = 2,
              .channels = 3,
              .pixels = {255, 200, 200, 200, 255, 200, 200, 200, 255, 255, 255, 200}};
  outside.add(Picture{.image = image, .x0 = 0, .x1 = 8, .y0 = 0, .y1 = 8, .smooth = false});
  for (int i = 0; i < 8; ++i)
    outside.add(Series{
        .label = "series " + std::to_string(i), .x = {0, 4, 8}, .y = {1.0 * i, i + 0.5, 1.0 * i}});
  return figure;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST(Figure, SameFigureSameBytes) {
  const Figure figure = gallery();
  EXPECT_EQ(render_image(figure).pixels, render_image(figure).pixels);
  const std::string svg = render_svg(figure);
  EXPECT_EQ(svg, render_svg(figure));
  EXPECT_NE(svg.find("<svg"), std::string::npos);
  EXPECT_NE(svg.find("<image"), std::string::npos);
  EXPECT_EQ(svg.find("<feImage"), std::string::npos) << "not every viewer knows this filter";
  // Every reference leads somewhere.
  for (size_t at = 0; (at = svg.find("xlink:href=\"#", at)) != std::string::npos; ++at) {
    const size_t begin = at + 13;
    const std::string id = svg.substr(begin, svg.find('"', begin) - begin);
    EXPECT_NE(svg.find("id=\"" + id + "\""), std::string::npos) << id;
  }
}

TEST(Figure, IsWrittenByTheExtension) {
  const test::TempDir dir;
  const Figure figure = gallery();
  save_figure(dir / "a.png", figure);
  save_figure(dir / "a.SVG", figure);
  EXPECT_EQ(read(dir / "a.png").substr(1, 3), "PNG");
  EXPECT_EQ(read(dir / "a.SVG"), render_svg(figure));
  save_figure(dir / "a.pdf", figure);
  EXPECT_EQ(read(dir / "a.pdf").substr(0, 5), "%PDF-");
  EXPECT_EQ(read(dir / "a.pdf"), render_pdf(figure)) << "the same figure gives the same bytes";
  EXPECT_THROW(save_figure(dir / "a.gif", figure), UsageError);
  EXPECT_THROW(check_figure_path("plot"), UsageError);
  EXPECT_THROW(save_figure(dir / "missing" / "a.png", figure), Error);
  if (const char* folder = std::getenv("EDM2_FIGURE_DIR")) {
    save_figure(std::filesystem::path(folder) / "gallery.png", figure);
    save_figure(std::filesystem::path(folder) / "gallery.svg", figure);
  }
}

TEST(Figure, LinesLeaveGapsAndAreClipped) {
  const Style style{.color = rgb(0xff0000), .line_width = 20};
  Image image =
      render_image(bare(Series{.x = {-2, -1, 0, 1, 2}, .y = {0, 0, nan, 0, 0}, .style = style}));
  EXPECT_EQ(pixel(image, 0.15, 0.5), red);
  EXPECT_EQ(pixel(image, 0.5, 0.5), white);
  EXPECT_EQ(pixel(image, 0.85, 0.5), red);
  // Ends far outside do not overflow: the line still goes through the middle.
  image = render_image(bare(Series{.x = {-1e15, 1e15}, .y = {-1e15, 1e15}, .style = style}));
  EXPECT_EQ(pixel(image, 0.5, 0.5), red);
  EXPECT_EQ(pixel(image, 0.2, 0.8), red);
  EXPECT_EQ(pixel(image, 0.2, 0.2), white);
  // A step stays at its value up to the next x.
  image = render_image(
      bare(Series{.x = {-2, 1, 2}, .y = {-1, 1, 1}, .style = style, .path = Path::steps}));
  EXPECT_EQ(pixel(image, 0.7, 0.745), red);
  EXPECT_EQ(pixel(image, 0.9, 0.255), red);
  EXPECT_EQ(pixel(image, 0.5, 0.4), white);
}

TEST(Figure, LogarithmicAxesLeaveOutWhatIsNotPositive) {
  Figure figure = bare(Series{
      .x = {0.01, -1, 0, 100},
      .y = {1, 1, 1, 1},
      .style = {
          .color = rgb(0xff0000), .line_width = 0, .marker = Marker::circle, .marker_size = 20}});
  figure.axes[0].x = {.scale = Scale::log, .min = 0.001, .max = 1000};
  const Image image = render_image(figure);
  EXPECT_EQ(pixel(image, 0.02 + 0.96 / 6, 0.26), red);
  EXPECT_EQ(pixel(image, 0.02 + 0.96 * 5 / 6, 0.26), red);
  // Two discs of 20 pixels across.
  EXPECT_NEAR(static_cast<double>(count(image, red)), 2 * 314, 90);
}

TEST(Figure, ContourRegionsHaveTheRightAreaAndNoSeams) {
  Contours grid = paraboloid();
  grid.levels = {-1};
  grid.fills = {rgb(0xff0000)};
  const double pixels_per_unit = 72;
  const double disc = std::acos(-1) * pixels_per_unit * pixels_per_unit;
  EXPECT_NEAR(static_cast<double>(count(render_image(bare(grid)), red)), disc, 0.03 * disc);
  // Bands between levels, half transparent: inside of a band there is one colour only.
  grid.levels = {-4, -1};
  grid.fills = {rgb(0xff0000, 0.5)};
  const Image image = render_image(bare(grid));
  const auto half_red = pixel(image, 0.5, 0.5 + 0.24 * 1.5);
  EXPECT_EQ(half_red[0], 255);
  EXPECT_NEAR(half_red[1], 127, 1);
  EXPECT_NEAR(static_cast<double>(count(image, half_red)), 3 * disc, 0.03 * 3 * disc);
  EXPECT_EQ(pixel(image, 0.5, 0.5), white);
}

TEST(Figure, HeatMapCellsHaveTheColoursOfTheirValues) {
  HeatMap map{.columns = 2,
              .rows = 2,
              .values = {0, 1, nan, 0.5},
              .column_labels = {"a", "b"},
              .row_labels = {"c", "d"},
              .map = {{rgb(0), rgb(0xff0000)}},
              .color_bar = false};
  Figure figure = bare(map);
  figure.axes[0].x = figure.axes[0].y = {};
  const Image image = render_image(figure);
  EXPECT_EQ(pixel(image, 0.25, 0.75), (std::array<int, 3>{0, 0, 0}));
  EXPECT_EQ(pixel(image, 0.75, 0.75), red);
  EXPECT_EQ(pixel(image, 0.25, 0.25), (std::array<int, 3>{238, 238, 238}));
  EXPECT_NEAR(pixel(image, 0.75, 0.25)[0], 128, 1);
}

TEST(Figure, EqualAspectKeepsCirclesRound) {
  Contours grid = paraboloid();
  grid.levels = {-1};
  grid.fills = {rgb(0xff0000)};
  Figure figure = bare(grid);
  figure.width *= 2;
  figure.axes[0].equal_aspect = true;
  const Image image = render_image(figure);
  int64_t across = 0, down = 0;
  for (int64_t i = 0; i < image.width; ++i)
    across +=
        pixel(image, (static_cast<double>(i) + 0.5) / static_cast<double>(image.width), 0.5) == red;
  for (int64_t i = 0; i < image.height; ++i)
    down += pixel(image, 0.5, (static_cast<double>(i) + 0.5) / static_cast<double>(image.height)) ==
            red;
  EXPECT_NEAR(across, down, 3);
  EXPECT_NEAR(down, 2 * 72, 3);
}

TEST(Figure, NothingToShowIsNoError) {
  Figure figure;
  EXPECT_EQ(count(render_image(figure), white), 922 * 605);
  Axes& axes = figure.axes.emplace_back();
  axes.add(Series{.label = "empty"});
  axes.add(Series{.x = {1, 2}, .y = {nan, nan}});
  axes.y.scale = Scale::log;
  EXPECT_LT(count(render_image(figure), white), 922 * 605);  // the axes are there
  axes.add(Series{.x = {1}, .y = {}});
  EXPECT_THROW(render_image(figure), c10::Error);  // a programmer's mistake
}

TEST(ColorMap, InterpolatesBetweenStops) {
  const ColorMap map{{rgb(0x000000), rgb(0xff0000), rgb(0xffff00)}};
  EXPECT_EQ(map.at(0), rgb(0));
  EXPECT_EQ(map.at(0.5), rgb(0xff0000));
  EXPECT_EQ(map.at(7), rgb(0xffff00));
  EXPECT_DOUBLE_EQ(map.at(0.75).green, 0.5);
  EXPECT_EQ(map.reversed().at(0), rgb(0xffff00));
  EXPECT_EQ(ColorMap::viridis().stops.size(), 10u);
}

}  // namespace edm2::plot
