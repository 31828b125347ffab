// A thin layer over Cairo: one drawing for PNG and SVG. Lengths are points; y grows downwards.
#pragma once

#include <cairo.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "edm2/io/image.h"
#include "edm2/plot/figure.h"

namespace edm2::plot {

struct Point {
  double x = 0, y = 0;
};

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};

class Canvas {
 public:
  /// Draws into pixels.
  static Canvas for_image(double width, double height, double dpi);
  /// Draws into the text of an SVG file.
  static Canvas for_svg(double width, double height);
  /// Draws into the bytes of a PDF file.
  static Canvas for_pdf(double width, double height);

  cairo_t* cairo() { return cairo_.get(); }

  void set_color(const Color& color);
  /// A colour, a width and a dash pattern for stroke().
  void set_line(const Color& color, double width, Dash dash = Dash::solid);

  void line(Point from, Point to);
  void rectangle(const Box& box);
  void polyline(const std::vector<Point>& points);
  void polygon(const std::vector<Point>& points);
  void marker(Marker kind, Point center, double diameter);
  void stroke() { cairo_stroke(cairo()); }
  void fill() { cairo_fill(cairo()); }
  void picture(const Image& image, const Box& box, bool smooth);

  /// Moves a coordinate so that a line of that width covers whole pixels (images only).
  double snap(double position, double line_width) const;

  // Text with ^{superscripts} and _{subscripts}.
  double text_width(const std::string& text, double size);
  /// `at` is the text's point `anchor`: (0,0) left end of the baseline, (1,·) right end; a second
  /// component of 0.5 centres the height of capitals, 1 hangs it below. `angle` in radians.
  void text(const std::string& text, Point at, std::array<double, 2> anchor, double size,
            const Color& color, double angle = 0, bool bold = false);

  Image to_image();
  std::string to_svg();
  std::string to_pdf();

 private:
  struct SurfaceDeleter {
    void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  };
  struct ContextDeleter {
    void operator()(cairo_t* context) const { cairo_destroy(context); }
  };

  Canvas(std::unique_ptr<std::string> file, cairo_surface_t* surface, double scale);
  void check() const;

  std::unique_ptr<std::string> file_;  // address must not change: Cairo writes into it
  std::unique_ptr<cairo_surface_t, SurfaceDeleter> surface_;
  std::unique_ptr<cairo_t, ContextDeleter> cairo_;
  double scale_;  // pixels per point
};

}  // namespace edm2::plot
