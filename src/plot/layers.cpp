#include "plot/layers.h"

#include <algorithm>
#include <limits>

#include "plot/contours.h"

namespace edm2::plot {
namespace {

// ---- Clipping keeps shapes near the visible box: Cairo's coordinates overflow far outside of it.

// The part of a polygon where inside(point) >= 0, for a linear function.
template <class Inside>
std::vector<Point> clip_to_half_plane(const std::vector<Point>& polygon, Inside inside) {
  std::vector<Point> result;
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Point a = polygon[i], b = polygon[(i + 1) % polygon.size()];
    const double fa = inside(a), fb = inside(b);
    if (fa >= 0) result.push_back(a);
    if ((fa < 0) != (fb < 0)) {
      const double t = fa / (fa - fb);
      result.push_back({a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)});
    }
  }
  return result;
}

// The part of the segment inside of the box; false if there is none.
bool clip_segment(const Box& box, Point& from, Point& to) {
  const double dx = to.x - from.x, dy = to.y - from.y;
  double first = 0, last = 1;  // Liang and Barsky
  const auto limit = [&](double direction, double distance) {
    if (direction == 0) return distance >= 0;
    const double t = distance / direction;
    if (direction < 0)
      first = std::max(first, t);
    else
      last = std::min(last, t);
    return first <= last;
  };
  if (!limit(-dx, from.x - box.left) || !limit(dx, box.right - from.x) ||
      !limit(-dy, from.y - box.top) || !limit(dy, box.bottom - from.y))
    return false;
  const Point start = from;
  if (first > 0) from = {start.x + first * dx, start.y + first * dy};
  if (last < 1) to = {start.x + last * dx, start.y + last * dy};
  return true;
}

// The part of the polygon inside of the box (possibly empty).
std::vector<Point> clip_polygon(const Box& box, const std::vector<Point>& polygon) {
  auto result = clip_to_half_plane(polygon, [&](Point p) { return p.x - box.left; });
  result = clip_to_half_plane(result, [&](Point p) { return box.right - p.x; });
  result = clip_to_half_plane(result, [&](Point p) { return p.y - box.top; });
  return clip_to_half_plane(result, [&](Point p) { return box.bottom - p.y; });
}

class LayerPainter {
 public:
  LayerPainter(Canvas& canvas, const Panel& panel, const Metrics& metrics)
      : canvas_(canvas), panel_(panel), metrics_(metrics) {
    constexpr double beyond = 200;  // so far outside no clipped end can be seen
    const Box& box = panel.box;
    near_ = {box.left - beyond, box.top - beyond, box.right + beyond, box.bottom + beyond};
  }

  void set_color(const Color& color) { color_ = color; }

  void operator()(const Series& series) {
    if (series.style.line_width > 0) {
      canvas_.set_line(color_, series.style.line_width, series.style.dash);
      trace_line(series);
      canvas_.stroke();
    }
    if (series.style.marker == Marker::none) return;
    canvas_.set_color(color_);
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!can_show(series.x[i], series.y[i])) continue;
      const Point at = place(series.x[i], series.y[i]);
      if (at.x < near_.left || at.x > near_.right || at.y < near_.top || at.y > near_.bottom)
        continue;
      canvas_.marker(series.style.marker, at, series.style.marker_size);
      canvas_.fill();  // each for itself: transparent ones add up
    }
  }

  void operator()(const Band& band) {
    canvas_.set_color(color_);
    for (size_t i = 0; i < band.x.size();) {
      std::vector<Point> upper, lower;
      for (; i < band.x.size() && can_show(band.x[i], band.low[i]) &&
             can_show(band.x[i], band.high[i]);
           ++i) {
        upper.push_back(place(band.x[i], band.high[i]));
        lower.push_back(place(band.x[i], band.low[i]));
      }
      if (upper.empty()) {
        ++i;
        continue;
      }
      upper.insert(upper.end(), lower.rbegin(), lower.rend());
      fill_polygon(upper);
    }
  }

  void operator()(const Bars& bars) {
    canvas_.set_color(color_);
    for (size_t i = 0; i < bars.x.size(); ++i) {
      if (!can_show(bars.x[i], bars.height[i])) continue;
      const double half = bars.width / 2;
      // On a logarithmic axis bars stand on the lower edge.
      const double base = panel_.y.can_show(0) ? 0 : panel_.y.range.low;
      if (!panel_.x.can_show(bars.x[i] - half)) continue;
      const Point a = place(bars.x[i] - half, base), b = place(bars.x[i] + half, bars.height[i]);
      fill_polygon({a, {b.x, a.y}, b, {a.x, b.y}});
    }
  }

  void operator()(const Rule& rule) {
    const Mapping& mapping = rule.horizontal ? panel_.y : panel_.x;
    if (!mapping.can_show(rule.at)) return;
    canvas_.set_line(color_, rule.style.line_width, rule.style.dash);
    const double at = canvas_.snap(mapping(rule.at), rule.style.line_width);
    const Box& box = panel_.box;
    if (rule.horizontal)
      canvas_.line({box.left, at}, {box.right, at});
    else
      canvas_.line({at, box.bottom}, {at, box.top});
    canvas_.stroke();
  }

  void operator()(const Note& note) {
    if (!can_show(note.x, note.y)) return;
    canvas_.text(note.text, place(note.x, note.y), note.anchor, note.size, note.color);
  }

  void operator()(const Polygons& polygons) {
    canvas_.set_color(color_);
    for (const auto& shape : polygons.shapes) {
      std::vector<Point> points;
      for (const auto& [x, y] : shape)
        if (can_show(x, y)) points.push_back(place(x, y));
      if (points.size() == shape.size()) fill_polygon(points);
    }
  }

  void operator()(const Contours& contours) {
    const double top = std::numeric_limits<double>::infinity();
    for (size_t k = 0; k < contours.fills.size(); ++k) {
      const bool last = k + 1 == contours.levels.size();
      // Opaque colours are painted over each other, so that no background shines through edges.
      const bool nested =
          contours.fills[k].alpha == 1 && contours.fills.size() == contours.levels.size();
      canvas_.set_color(contours.fills[k]);
      trace_region(canvas_, contours, panel_.x, panel_.y, contours.levels[k],
                   last || nested ? top : contours.levels[k + 1]);
      canvas_.fill();
    }
    if (!contours.line) return;
    canvas_.set_line(*contours.line, contours.line_width);
    cairo_set_line_cap(canvas_.cairo(), CAIRO_LINE_CAP_ROUND);
    for (const double level : contours.levels)
      trace_level(canvas_, contours, panel_.x, panel_.y, level);
    canvas_.stroke();  // all at once: transparent lines do not add up
  }

  void operator()(const Picture& picture) {
    const Point bottom_left = place(picture.x0, picture.y0),
                top_right = place(picture.x1, picture.y1);
    canvas_.picture(picture.image, {bottom_left.x, top_right.y, top_right.x, bottom_left.y},
                    picture.smooth);
  }

  void operator()(const HeatMap& map) {
    const double low = panel_.color_bar ? panel_.color_bar->min : map.min.value_or(0);
    const double high = panel_.color_bar ? panel_.color_bar->max : map.max.value_or(1);
    for (int64_t row = 0; row < map.rows; ++row) {
      for (int64_t column = 0; column < map.columns; ++column) {
        const auto i = static_cast<size_t>(row * map.columns + column);
        const Box box = cell(row, column);
        const Color color = map.map.at((map.values[i] - low) / (high - low));
        canvas_.set_color(color);
        canvas_.rectangle(box);
        canvas_.fill();
        if (!map.texts.empty()) write_into_cell(map.texts[i], box, color);
      }
    }
    if (map.highlight) {
      constexpr double width = 2;
      Box box = cell((*map.highlight)[0], (*map.highlight)[1]);
      box = {box.left + width / 2, box.top + width / 2, box.right - width / 2,
             box.bottom - width / 2};
      canvas_.set_line(rgb(0xd55e00), width);
      canvas_.rectangle(box);
      canvas_.stroke();
    }
  }

 private:
  bool can_show(double x, double y) const { return panel_.x.can_show(x) && panel_.y.can_show(y); }
  Point place(double x, double y) const { return {panel_.x(x), panel_.y(y)}; }

  void trace_line(const Series& series) {
    bool has_last = false;
    Point last, pen{std::numeric_limits<double>::quiet_NaN(), 0};
    const auto segment = [&](Point from, Point to) {
      if (!clip_segment(near_, from, to)) return;
      if (from.x != pen.x || from.y != pen.y) cairo_move_to(canvas_.cairo(), from.x, from.y);
      cairo_line_to(canvas_.cairo(), to.x, to.y);
      pen = to;
    };
    for (size_t i = 0; i < series.x.size(); ++i) {
      if (!can_show(series.x[i], series.y[i])) {
        has_last = false;
        continue;
      }
      const Point point = place(series.x[i], series.y[i]);
      if (has_last && series.path == Path::steps) {
        segment(last, {point.x, last.y});
        segment({point.x, last.y}, point);
      } else if (has_last) {
        segment(last, point);
      }
      last = point;
      has_last = true;
    }
  }

  void fill_polygon(const std::vector<Point>& polygon) {
    const auto visible = clip_polygon(near_, polygon);
    if (visible.size() < 3) return;
    canvas_.polygon(visible);
    canvas_.fill();
  }

  // Edges at whole pixels, so that neighbours touch without a seam.
  Box cell(int64_t row, int64_t column) const {
    const auto x = [&](double at) { return snap(panel_.x(at)); };
    const auto y = [&](double at) { return snap(panel_.y(at)); };
    const auto r = static_cast<double>(row), c = static_cast<double>(column);
    return {x(c - 0.5), y(r + 0.5), x(c + 0.5), y(r - 0.5)};
  }
  double snap(double position) const { return canvas_.snap(position, 0); }

  void write_into_cell(const std::string& text, const Box& box, const Color& background) {
    double size = 0.92 * metrics_.tick;
    const double width = canvas_.text_width(text, size);
    const double room = 0.88 * box.width();
    if (width > room) size *= room / width;
    size = std::min(size, 0.8 * box.height());
    const double luminance =
        0.2126 * background.red + 0.7152 * background.green + 0.0722 * background.blue;
    canvas_.text(text, {(box.left + box.right) / 2, (box.top + box.bottom) / 2}, {0.5, 0.5}, size,
                 luminance < 0.5 ? rgb(0xffffff) : rgb(0x222222));
  }

  Canvas& canvas_;
  const Panel& panel_;
  const Metrics& metrics_;
  Box near_;
  Color color_;
};

}  // namespace

void draw_layers(Canvas& canvas, const Panel& panel, const Metrics& metrics) {
  cairo_save(canvas.cairo());
  canvas.rectangle(panel.box);
  cairo_clip(canvas.cairo());
  LayerPainter painter(canvas, panel, metrics);
  for (size_t i = 0; i < panel.axes->layers.size(); ++i) {
    painter.set_color(panel.colors[i]);
    std::visit(painter, panel.axes->layers[i]);
  }
  cairo_restore(canvas.cairo());
}

}  // namespace edm2::plot
