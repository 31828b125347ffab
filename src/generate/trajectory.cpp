#include "generate/trajectory.h"

#include <ATen/ATen.h>

#include <functional>
#include <utility>

#include "data/contact_sheet.h"
#include "edm2/io/atomic_file.h"
#include "generate/output.h"

namespace edm2 {
namespace {

std::vector<std::byte> animate(int64_t width, int64_t height, int64_t count,
                               const std::function<Image(int64_t)>& frame) {
  WebpAnimation animation(width, height);
  for (int64_t i = 0; i < count; ++i)
    animation.add(frame(i), i + 1 < count ? stage_milliseconds : last_stage_milliseconds);
  return animation.finish();
}

/// --trajectory-grid.
class TrajectoryGrid final : public Output {
 public:
  TrajectoryGrid(const GenerateOptions& options, PngText text)
      : path_(*options.trajectory_grid),
        format_(trajectory_grid_format(path_)),
        count_(static_cast<int64_t>(options.seeds.size())),
        columns_(options.grid_columns),
        text_(std::move(text)) {}

  void add(const GeneratedBatch& batch) override {
    const int64_t frames = batch.frames.size(1);
    if (sheets_.empty()) {
      if (format_ == TrajectoryFormat::strip) {
        sheets_.emplace_back(count_ * frames, frames);
      } else {
        for (int64_t i = 0; i < frames; ++i) sheets_.emplace_back(count_, columns_);
      }
    }
    if (format_ == TrajectoryFormat::strip) {
      sheets_[0].add(batch.frames.flatten(0, 1));
    } else {
      for (int64_t i = 0; i < frames; ++i)
        sheets_[static_cast<size_t>(i)].add(batch.frames.select(1, i));
      // Too large for the format? Better told now than after the last batch.
      const Image& sheet = sheets_.front().image();
      WebpAnimation(sheet.width, sheet.height);
    }
  }

  void finish() override {
    const Image& first = sheets_.front().image();
    const auto frame = [&](int64_t i) { return sheets_[static_cast<size_t>(i)].image(); };
    write_file(path_, format_ == TrajectoryFormat::strip
                          ? encode_png(first, png_for_photographs, text_)
                          : animate(first.width, first.height, static_cast<int64_t>(sheets_.size()),
                                    frame));
  }

 private:
  const std::filesystem::path path_;
  const TrajectoryFormat format_;
  const int64_t count_, columns_;
  const PngText text_;
  std::vector<ContactSheet> sheets_;  // one for each frame; strips: one with a row for each seed
};

}  // namespace

std::vector<std::byte> encode_animation(const Tensor& frames) {
  const int64_t height = frames.size(1), width = frames.size(2), size = height * width * 3;
  return animate(width, height, frames.size(0), [&](int64_t i) {
    const uint8_t* first = frames.const_data_ptr<uint8_t>() + i * size;
    return Image{width, height, 3, {first, first + size}};
  });
}

std::vector<std::byte> encode_strip(const Tensor& frames, const PngText& text) {
  ContactSheet sheet(frames.size(0), frames.size(0));
  sheet.add_pixels(frames);
  return encode_png(sheet.image(), png_for_photographs, text);
}

std::unique_ptr<Output> make_trajectory_grid(const GenerateOptions& options, PngText text) {
  return std::make_unique<TrajectoryGrid>(options, std::move(text));
}

}  // namespace edm2
