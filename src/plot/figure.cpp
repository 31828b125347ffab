#include "edm2/plot/figure.h"

#include <algorithm>
#include <cctype>
#include <numbers>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "plot/layers.h"

namespace edm2::plot {
namespace {

constexpr Color ink = rgb(0x333333), faint = rgb(0xe8e8e8), minor_ink = rgb(0x999999);
constexpr double frame_width = 0.75, grid_width = 0.5;
constexpr double quarter_turn = -std::numbers::pi / 2;

class PanelPainter {
 public:
  PanelPainter(Canvas& canvas, const Panel& panel, const Metrics& metrics)
      : canvas_(canvas), panel_(panel), axes_(*panel.axes), metrics_(metrics), box_(panel.box) {}

  void draw() {
    if (axes_.visible && axes_.grid && !panel_.tight) draw_grid();
    draw_layers(canvas_, panel_, metrics_);
    if (axes_.visible) {
      draw_frame();
      draw_x_ticks();
      draw_y_ticks();
      draw_axis_labels();
    }
    draw_title();
    if (panel_.color_bar) draw_color_bar();
    if (!panel_.legend.empty()) draw_legend();
  }

 private:
  void draw_grid() {
    canvas_.set_line(faint, grid_width);
    for (const double tick : panel_.x_ticks.positions) {
      const double x = canvas_.snap(panel_.x(tick), grid_width);
      canvas_.line({x, box_.top}, {x, box_.bottom});
    }
    for (const double tick : panel_.y_ticks.positions) {
      const double y = canvas_.snap(panel_.y(tick), grid_width);
      canvas_.line({box_.left, y}, {box_.right, y});
    }
    canvas_.stroke();
  }

  void draw_frame() {
    const auto at = [&](double position) { return canvas_.snap(position, frame_width); };
    canvas_.set_line(ink, frame_width);
    cairo_set_line_cap(canvas_.cairo(), CAIRO_LINE_CAP_SQUARE);
    if (panel_.tight) {
      canvas_.rectangle({at(box_.left), at(box_.top), at(box_.right), at(box_.bottom)});
    } else {
      canvas_.polyline({{at(box_.left), at(box_.top)},
                        {at(box_.left), at(box_.bottom)},
                        {at(box_.right), at(box_.bottom)}});
    }
    canvas_.stroke();
  }

  void draw_x_ticks() {
    const Ticks& ticks = panel_.x_ticks;
    draw_tick_lines(ticks.positions, ink, metrics_.tick_length, true);
    draw_tick_lines(ticks.minor, minor_ink, 0.6 * metrics_.tick_length, true);
    const double y = box_.bottom + metrics_.tick_length + 3.5;
    for (size_t i = 0; i < ticks.labels.size(); ++i) {
      const double x = panel_.x(ticks.positions[i]);
      if (panel_.slanted_x_labels)
        canvas_.text(ticks.labels[i], {x + 0.3 * metrics_.tick, y}, {1, 1}, metrics_.tick, ink,
                     quarter_turn / 2);
      else
        canvas_.text(ticks.labels[i], {x, y}, {0.5, 1}, metrics_.tick, ink);
    }
  }

  void draw_y_ticks() {
    const Ticks& ticks = panel_.y_ticks;
    draw_tick_lines(ticks.positions, ink, metrics_.tick_length, false);
    draw_tick_lines(ticks.minor, minor_ink, 0.6 * metrics_.tick_length, false);
    for (size_t i = 0; i < ticks.labels.size(); ++i)
      canvas_.text(ticks.labels[i],
                   {box_.left - metrics_.tick_length - 3, panel_.y(ticks.positions[i])}, {1, 0.5},
                   metrics_.tick, ink);
    if (!ticks.factor.empty())
      canvas_.text(ticks.factor, {box_.left, box_.top - 5}, {0, 0}, metrics_.tick, ink);
  }

  void draw_tick_lines(const std::vector<double>& positions, const Color& color, double length,
                       bool horizontal_axis) {
    canvas_.set_line(color, frame_width);
    for (const double tick : positions) {
      if (horizontal_axis) {
        const double x = canvas_.snap(panel_.x(tick), frame_width);
        canvas_.line({x, box_.bottom}, {x, box_.bottom + length});
      } else {
        const double y = canvas_.snap(panel_.y(tick), frame_width);
        canvas_.line({box_.left, y}, {box_.left - length, y});
      }
    }
    canvas_.stroke();
  }

  void draw_axis_labels() {
    std::string x_label = axes_.x.label;
    // The x axis has no room of its own for a common factor.
    if (!panel_.x_ticks.factor.empty())
      x_label += x_label.empty() ? panel_.x_ticks.factor : " (" + panel_.x_ticks.factor + ")";
    const double labels_height = x_labels_height(panel_, canvas_, metrics_);
    if (!x_label.empty())
      canvas_.text(x_label,
                   {(box_.left + box_.right) / 2,
                    box_.bottom + metrics_.tick_length + 4 + labels_height + 0.7 * metrics_.gap},
                   {0.5, 1}, metrics_.label, ink);
    if (!axes_.y.label.empty())
      canvas_.text(axes_.y.label,
                   {box_.left - metrics_.tick_length - 3 -
                        widest(panel_.y_ticks.labels, canvas_, metrics_.tick) - metrics_.gap * 1.4,
                    (box_.top + box_.bottom) / 2},
                   {0.5, 0}, metrics_.label, ink, quarter_turn);
  }

  void draw_title() {
    if (axes_.title.empty()) return;
    canvas_.text(axes_.title, {(box_.left + box_.right) / 2, box_.top - 1.4 * metrics_.gap},
                 {0.5, 0}, metrics_.title, ink);
  }

  void draw_color_bar() {
    const ColorBar& bar = *panel_.color_bar;
    const Box box{box_.right + metrics_.bar_gap, box_.top,
                  box_.right + metrics_.bar_gap + metrics_.bar_width, box_.bottom};
    cairo_pattern_t* gradient = cairo_pattern_create_linear(0, box.bottom, 0, box.top);
    constexpr int stops = 64;
    for (int i = 0; i <= stops; ++i) {
      const double t = static_cast<double>(i) / stops;
      const Color color = bar.map.at(t);
      cairo_pattern_add_color_stop_rgba(gradient, t, color.red, color.green, color.blue,
                                        color.alpha);
    }
    cairo_set_source(canvas_.cairo(), gradient);
    cairo_pattern_destroy(gradient);
    canvas_.rectangle(box);
    canvas_.fill();
    canvas_.set_line(ink, frame_width);
    canvas_.rectangle({canvas_.snap(box.left, frame_width), canvas_.snap(box.top, frame_width),
                       canvas_.snap(box.right, frame_width),
                       canvas_.snap(box.bottom, frame_width)});
    canvas_.stroke();

    const Ticks& ticks = panel_.bar_ticks;
    const double label_at = box.right + metrics_.tick_length + 2;
    for (size_t i = 0; i < ticks.labels.size(); ++i) {
      const double t = (ticks.positions[i] - bar.min) / (bar.max - bar.min);
      const double y = canvas_.snap(box.bottom + t * (box.top - box.bottom), frame_width);
      canvas_.set_line(ink, frame_width);
      canvas_.line({box.right, y}, {box.right + metrics_.tick_length - 1, y});
      canvas_.stroke();
      canvas_.text(ticks.labels[i], {label_at, y}, {0, 0.5}, metrics_.tick, ink);
    }
    if (!ticks.factor.empty())
      canvas_.text(ticks.factor, {box.left, box.top - 5}, {0, 0}, metrics_.tick, ink);
    if (!bar.label.empty())
      canvas_.text(bar.label,
                   {label_at + widest(ticks.labels, canvas_, metrics_.tick) + 1.4 * metrics_.gap +
                        0.75 * metrics_.label,
                    (box.top + box.bottom) / 2},
                   {0.5, 0}, metrics_.label, ink, quarter_turn);
  }

  // How much of the data a box would cover.
  int64_t covered(const Box& box) const {
    int64_t count = 0;
    const auto visit = [&](double x, double y) {
      if (!panel_.x.can_show(x) || !panel_.y.can_show(y)) return;
      const Point at{panel_.x(x), panel_.y(y)};
      count += at.x >= box.left && at.x <= box.right && at.y >= box.top && at.y <= box.bottom;
    };
    for (const Layer& layer : axes_.layers) {
      if (const auto* series = std::get_if<Series>(&layer)) {
        for (size_t i = 0; i < series->x.size(); ++i) {
          visit(series->x[i], series->y[i]);
          if (i == 0 || series->style.line_width == 0) continue;
          constexpr int parts = 8;  // lines between far points count too
          for (int k = 1; k < parts; ++k) {
            const double t = static_cast<double>(k) / parts;
            visit(series->x[i - 1] + t * (series->x[i] - series->x[i - 1]),
                  series->y[i - 1] + t * (series->y[i] - series->y[i - 1]));
          }
        }
      } else if (const auto* bars = std::get_if<Bars>(&layer)) {
        for (size_t i = 0; i < bars->x.size(); ++i)
          for (int k = 0; k <= 10; ++k) visit(bars->x[i], bars->height[i] * k / 10);
      }
    }
    return count;
  }

  Point legend_position(double width, double height) const {
    const double pad = 6;
    const double left = box_.left + pad, right = box_.right - pad - width;
    const double top = box_.top + pad, bottom = box_.bottom - pad - height;
    switch (axes_.legend) {
      case Legend::top_left:
        return {left, top};
      case Legend::top_right:
        return {right, top};
      case Legend::bottom_left:
        return {left, bottom};
      case Legend::bottom_right:
        return {right, bottom};
      case Legend::outside: {
        double x = box_.right + metrics_.gap * 1.5;
        if (panel_.color_bar) {
          const double widest_bar_label = 4 * metrics_.tick;
          x += metrics_.bar_gap + metrics_.bar_width + widest_bar_label;
        }
        return {x, box_.top};
      }
      default:
        break;
    }
    const Point corners[] = {{right, top}, {left, top}, {right, bottom}, {left, bottom}};
    Point best = corners[0];
    int64_t least = -1;
    for (const Point& corner : corners) {
      const int64_t count =
          covered({corner.x - 3, corner.y - 3, corner.x + width + 3, corner.y + height + 3});
      if (least < 0 || count < least) {
        least = count;
        best = corner;
      }
    }
    return best;
  }
  void draw_legend() {
    const double width = legend_width(panel_, canvas_, metrics_);
    const double height = legend_height(panel_, metrics_);
    const Point at = legend_position(width, height);
    if (axes_.legend != Legend::outside) {
      canvas_.set_color(rgb(0xffffff, 0.85));
      canvas_.rectangle({at.x, at.y, at.x + width, at.y + height});
      cairo_fill_preserve(canvas_.cairo());
      canvas_.set_line(rgb(0xd0d0d0), grid_width);
      canvas_.stroke();
    }
    double y = at.y + metrics_.gap / 2 + 0.75 * metrics_.tick;
    for (const LegendEntry& entry : panel_.legend) {
      const Point left{at.x + metrics_.gap, y};
      const Point right{left.x + metrics_.legend_sample, y};
      draw_sample(entry, left, right);
      canvas_.text(entry.label, {right.x + metrics_.gap, y}, {0, 0.5}, metrics_.tick, ink);
      y += 1.5 * metrics_.tick;
    }
  }

  void draw_sample(const LegendEntry& entry, Point left, Point right) {
    const Color color = *entry.style.color;
    if (entry.area) {
      const double half = 0.36 * metrics_.tick;
      canvas_.set_color(color);
      canvas_.rectangle({left.x + 3, left.y - half, right.x - 3, left.y + half});
      canvas_.fill();
      return;
    }
    if (entry.style.line_width > 0) {
      canvas_.set_line(color, entry.style.line_width, entry.style.dash);
      canvas_.line(left, right);
      canvas_.stroke();
    }
    canvas_.set_color(color);
    canvas_.marker(entry.style.marker, {(left.x + right.x) / 2, left.y},
                   std::clamp(entry.style.marker_size, 3.0, metrics_.tick));
    canvas_.fill();
  }

  Canvas& canvas_;
  const Panel& panel_;
  const Axes& axes_;
  const Metrics& metrics_;
  const Box& box_;
};

void draw(const Figure& figure, Canvas& canvas) {
  const Metrics metrics(figure.font_size);
  canvas.set_color(rgb(0xffffff));
  cairo_paint(canvas.cairo());
  for (const Panel& panel : lay_out(figure, canvas, metrics))
    PanelPainter(canvas, panel, metrics).draw();
  if (!figure.title.empty())
    canvas.text(figure.title, {36 * figure.width, 7 + metrics.title}, {0.5, 0},
                1.15 * metrics.title, ink);
}

enum class FileKind { png, svg, pdf };

FileKind file_kind(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (extension == ".png") return FileKind::png;
  if (extension == ".svg") return FileKind::svg;
  if (extension == ".pdf") return FileKind::pdf;
  throw UsageError("a figure's file name must end with .png, .svg or .pdf: '" + path.string() +
                   "'");
}

}  // namespace

Series scatter(std::string label, std::vector<double> x, std::vector<double> y, double marker_size,
               std::optional<Color> color) {
  return {
      .label = std::move(label),
      .x = std::move(x),
      .y = std::move(y),
      .style = {
          .color = color, .line_width = 0, .marker = Marker::circle, .marker_size = marker_size}};
}

Image render_image(const Figure& figure) {
  Canvas canvas = Canvas::for_image(72 * figure.width, 72 * figure.height, figure.dpi);
  draw(figure, canvas);
  return canvas.to_image();
}

std::string render_svg(const Figure& figure) {
  Canvas canvas = Canvas::for_svg(72 * figure.width, 72 * figure.height);
  draw(figure, canvas);
  return canvas.to_svg();
}

std::string render_pdf(const Figure& figure) {
  Canvas canvas = Canvas::for_pdf(72 * figure.width, 72 * figure.height);
  draw(figure, canvas);
  return canvas.to_pdf();
}

void save_figure(const std::filesystem::path& path, const Figure& figure) {
  switch (file_kind(path)) {
    case FileKind::png:
      return write_file(path, encode_png(render_image(figure)));
    case FileKind::svg:
      return write_file(path, render_svg(figure));
    case FileKind::pdf:
      return write_file(path, render_pdf(figure));
  }
}

void check_figure_path(const std::filesystem::path& path) { (void)file_kind(path); }

}  // namespace edm2::plot
