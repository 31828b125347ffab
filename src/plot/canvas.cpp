#include "plot/canvas.h"

#include <cairo-pdf.h>
#include <cairo-svg.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "edm2/core/error.h"
#include "plot/text.h"

namespace edm2::plot {
namespace {

cairo_status_t append(void* closure, const unsigned char* data, unsigned length) {
  static_cast<std::string*>(closure)->append(reinterpret_cast<const char*>(data), length);
  return CAIRO_STATUS_SUCCESS;
}

// Cairo counts pictures over the whole life of the process. Numbers in order of appearance make
// equal figures equal files.
std::string renumber_pictures(const std::string& svg) {
  std::string result;
  std::map<std::string, std::string> names;
  size_t done = 0;
  for (size_t at = 0; (at = svg.find_first_of("\"#", at)) != std::string::npos;) {
    ++at;
    size_t end = std::string::npos;
    for (const std::string prefix : {"image", "surface", "pattern", "source-"})
      if (svg.compare(at, prefix.size(), prefix) == 0) end = at + prefix.size();
    if (end == std::string::npos || end >= svg.size() || std::isdigit(svg[end]) == 0) continue;
    size_t stop = end;
    while (stop < svg.size() && std::isdigit(svg[stop]) != 0) ++stop;
    const auto [entry, is_new] = names.try_emplace(svg.substr(at, stop - at));
    if (is_new) entry->second = svg.substr(at, end - at) + std::to_string(names.size());
    result.append(svg, done, at - done).append(entry->second);
    done = at = stop;
  }
  return result.append(svg, done);
}

void select_font(cairo_t* cairo, double size, bool bold) {
  cairo_select_font_face(cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                         bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cairo, size);
}

double advance(cairo_t* cairo, const std::string& text) {
  cairo_text_extents_t extents;
  cairo_text_extents(cairo, text.c_str(), &extents);
  return extents.x_advance;
}

constexpr double cap_height = 0.73;  // of the font size, DejaVu Sans

}  // namespace

Canvas Canvas::for_image(double width, double height, double dpi) {
  const double scale = dpi / 72;
  const int columns = static_cast<int>(std::lround(width * scale));
  const int rows = static_cast<int>(std::lround(height * scale));
  Canvas canvas(nullptr, cairo_image_surface_create(CAIRO_FORMAT_RGB24, columns, rows), scale);
  cairo_scale(canvas.cairo(), scale, scale);
  return canvas;
}

Canvas Canvas::for_svg(double width, double height) {
  auto file = std::make_unique<std::string>();
  cairo_surface_t* surface = cairo_svg_surface_create_for_stream(append, file.get(), width, height);
  return {std::move(file), surface, 0};
}

Canvas Canvas::for_pdf(double width, double height) {
  auto file = std::make_unique<std::string>();
  cairo_surface_t* surface = cairo_pdf_surface_create_for_stream(append, file.get(), width, height);
  // The time of creation would make every file another one.
  cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, "2000-01-01T00:00:00Z");
  return {std::move(file), surface, 0};
}

Canvas::Canvas(std::unique_ptr<std::string> file, cairo_surface_t* surface, double scale)
    : file_(std::move(file)), surface_(surface), cairo_(cairo_create(surface)), scale_(scale) {
  check();
  cairo_font_options_t* options = cairo_font_options_create();
  // Letters stand where they would at any resolution; grey antialiasing does not depend on screens.
  cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
  cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
  cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
  cairo_set_font_options(cairo(), options);
  cairo_font_options_destroy(options);
  cairo_set_line_join(cairo(), CAIRO_LINE_JOIN_ROUND);
}

void Canvas::check() const {
  cairo_status_t status = cairo_status(cairo_.get());
  if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_status(surface_.get());
  if (status != CAIRO_STATUS_SUCCESS)
    throw Error(std::string("cannot draw the figure: ") + cairo_status_to_string(status));
}

void Canvas::set_color(const Color& color) {
  cairo_set_source_rgba(cairo(), color.red, color.green, color.blue, color.alpha);
}

void Canvas::set_line(const Color& color, double width, Dash dash) {
  set_color(color);
  cairo_set_line_width(cairo(), width);
  const double unit = std::max(width, 0.8);
  if (dash == Dash::dashed) {
    const double lengths[] = {4 * unit, 2.4 * unit};
    cairo_set_dash(cairo(), lengths, 2, 0);
  } else if (dash == Dash::dotted) {
    const double lengths[] = {0.1, 2.2 * unit};
    cairo_set_dash(cairo(), lengths, 2, 0);
  } else {
    cairo_set_dash(cairo(), nullptr, 0, 0);
  }
  cairo_set_line_cap(cairo(), dash == Dash::dotted ? CAIRO_LINE_CAP_ROUND : CAIRO_LINE_CAP_BUTT);
}

void Canvas::line(Point from, Point to) {
  cairo_move_to(cairo(), from.x, from.y);
  cairo_line_to(cairo(), to.x, to.y);
}

void Canvas::rectangle(const Box& box) {
  cairo_rectangle(cairo(), box.left, box.top, box.width(), box.height());
}

void Canvas::polyline(const std::vector<Point>& points) {
  cairo_new_sub_path(cairo());
  for (const Point& point : points) cairo_line_to(cairo(), point.x, point.y);
}

void Canvas::polygon(const std::vector<Point>& points) {
  polyline(points);
  cairo_close_path(cairo());
}

void Canvas::marker(Marker kind, Point center, double diameter) {
  const double r = diameter / 2;
  const auto [x, y] = center;
  switch (kind) {
    case Marker::none:
      break;
    case Marker::circle:
      cairo_new_sub_path(cairo());
      cairo_arc(cairo(), x, y, r, 0, 2 * std::numbers::pi);
      cairo_close_path(cairo());
      break;
    case Marker::square: {
      const double a = 0.89 * r;  // the area of the circle
      rectangle({x - a, y - a, x + a, y + a});
      break;
    }
    case Marker::diamond:
      polygon({{x, y - 1.25 * r}, {x + 1.25 * r, y}, {x, y + 1.25 * r}, {x - 1.25 * r, y}});
      break;
    case Marker::triangle:
      polygon({{x, y - 1.3 * r}, {x + 1.2 * r, y + 0.8 * r}, {x - 1.2 * r, y + 0.8 * r}});
      break;
    case Marker::cross: {
      const double a = 0.9 * r, w = 0.22 * r;  // two bars, as one shape
      polygon({{x - a - w, y - a + w},
               {x - a + w, y - a - w},
               {x, y - 2 * w},
               {x + a - w, y - a - w},
               {x + a + w, y - a + w},
               {x + 2 * w, y},
               {x + a + w, y + a - w},
               {x + a - w, y + a + w},
               {x, y + 2 * w},
               {x - a + w, y + a + w},
               {x - a - w, y + a - w},
               {x - 2 * w, y}});
      break;
    }
  }
}

void Canvas::picture(const Image& image, const Box& box, bool smooth) {
  if (image.width <= 0 || image.height <= 0) return;
  cairo_surface_t* pixels = cairo_image_surface_create(
      CAIRO_FORMAT_ARGB32, static_cast<int>(image.width), static_cast<int>(image.height));
  if (cairo_surface_status(pixels) != CAIRO_STATUS_SUCCESS) {
    cairo_surface_destroy(pixels);
    throw Error("cannot draw a picture of " + std::to_string(image.width) + "x" +
                std::to_string(image.height) + " pixels into a figure");
  }
  unsigned char* data = cairo_image_surface_get_data(pixels);
  const int stride = cairo_image_surface_get_stride(pixels);
  for (int64_t row = 0; row < image.height; ++row) {
    for (int64_t column = 0; column < image.width; ++column) {
      const uint8_t* in =
          &image.pixels[static_cast<size_t>((row * image.width + column) * image.channels)];
      const uint32_t alpha = image.channels == 4 ? in[3] : 255;
      const auto channel = [&](int i) {  // Cairo multiplies colours by opacity beforehand
        return (in[image.channels >= 3 ? i : 0] * alpha + 127) / 255;
      };
      const uint32_t argb = alpha << 24 | channel(0) << 16 | channel(1) << 8 | channel(2);
      reinterpret_cast<uint32_t*>(data + row * stride)[column] = argb;
    }
  }
  cairo_surface_mark_dirty(pixels);
  cairo_save(cairo());
  cairo_translate(cairo(), box.left, box.top);
  cairo_scale(cairo(), box.width() / static_cast<double>(image.width),
              box.height() / static_cast<double>(image.height));
  cairo_set_source_surface(cairo(), pixels, 0, 0);
  cairo_pattern_set_filter(cairo_get_source(cairo()),
                           smooth ? CAIRO_FILTER_BILINEAR : CAIRO_FILTER_NEAREST);
  // Beyond its edges a smoothed picture goes on, so that these stay opaque. In SVG it ends there in
  // any case, and Cairo 1.18 would draw one that goes on with filters that not every viewer knows.
  const bool is_svg = cairo_surface_get_type(surface_.get()) == CAIRO_SURFACE_TYPE_SVG;
  cairo_pattern_set_extend(cairo_get_source(cairo()),
                           is_svg ? CAIRO_EXTEND_NONE : CAIRO_EXTEND_PAD);
  cairo_rectangle(cairo(), 0, 0, static_cast<double>(image.width),
                  static_cast<double>(image.height));
  cairo_fill(cairo());
  cairo_restore(cairo());
  cairo_surface_destroy(pixels);
}

double Canvas::snap(double position, double line_width) const {
  if (scale_ == 0) return position;
  const bool odd = std::lround(line_width * scale_) % 2 != 0;
  const double pixel = position * scale_;
  return (odd ? std::floor(pixel) + 0.5 : std::round(pixel)) / scale_;
}

double Canvas::text_width(const std::string& text, double size) {
  double width = 0;
  for (const TextRun& run : parse_text(text)) {
    select_font(cairo(), size * run.size, false);
    width += advance(cairo(), run.text);
  }
  return width;
}

void Canvas::text(const std::string& text, Point at, std::array<double, 2> anchor, double size,
                  const Color& color, double angle, bool bold) {
  set_color(color);
  cairo_save(cairo());
  cairo_translate(cairo(), at.x, at.y);
  cairo_rotate(cairo(), angle);
  double x = -anchor[0] * text_width(text, size);
  const double y = anchor[1] * cap_height * size;
  for (const TextRun& run : parse_text(text)) {
    select_font(cairo(), size * run.size, bold);
    cairo_move_to(cairo(), x, y - run.rise * size);
    cairo_show_text(cairo(), run.text.c_str());
    x += advance(cairo(), run.text);
  }
  cairo_restore(cairo());
}

Image Canvas::to_image() {
  check();
  cairo_surface_flush(surface_.get());
  Image image;
  image.width = cairo_image_surface_get_width(surface_.get());
  image.height = cairo_image_surface_get_height(surface_.get());
  image.channels = 3;
  const unsigned char* data = cairo_image_surface_get_data(surface_.get());
  const int stride = cairo_image_surface_get_stride(surface_.get());
  image.pixels.reserve(static_cast<size_t>(image.width * image.height * 3));
  for (int64_t row = 0; row < image.height; ++row) {
    const auto* pixels = reinterpret_cast<const uint32_t*>(data + row * stride);
    for (int64_t column = 0; column < image.width; ++column)
      for (const int shift : {16, 8, 0})
        image.pixels.push_back(static_cast<uint8_t>(pixels[column] >> shift));
  }
  return image;
}

std::string Canvas::to_svg() {
  check();
  cairo_surface_finish(surface_.get());
  return renumber_pictures(*file_);
}

std::string Canvas::to_pdf() {
  check();
  cairo_surface_finish(surface_.get());
  return *file_;
}

}  // namespace edm2::plot
