#include "data/training_view.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "core/ordered_workers.h"
#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/data/dataset.h"
#include "edm2/data/encoder.h"
#include "edm2/data/latents.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "io/image_outline.h"

namespace edm2 {
namespace {

using Kind = ImageOutline::Kind;

/// Enough for the headers of nearly all pictures; for others the whole file is read.
constexpr uint64_t usual_header_bytes = 16384;

int64_t trained_channels(Kind kind, bool ramps_are_grey) {
  switch (kind) {
    case Kind::grey:
    case Kind::grey_deep:
      return 1;
    case Kind::grey_alpha:
      return 2;
    case Kind::rgb_alpha:
      return 4;
    case Kind::grey_ramp:
      return ramps_are_grey ? 1 : 3;
    default:
      return 3;
  }
}

/// All axes but the last two become one.
std::vector<int64_t> trained_array_shape(const std::vector<int64_t>& shape,
                                         const std::string& where) {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    constexpr int64_t most = int64_t{1} << 40;
    if (size > 0 && elements > most / size)
      throw Error("the array in '" + where + "' claims more elements than a file can hold");
    elements *= size;
  }
  if (shape.size() < 2) throw Error("the array in '" + where + "' is not an image");
  if (elements == 0)
    throw Error("the array in '" + where + "' is neither uint8 nor float32, or empty");
  const int64_t height = shape[shape.size() - 2], width = shape.back();
  return {elements / height / width, height, width};
}

/// "2 of 10 pictures have ..., the first is 'x': ..."; "" for none.
std::string counted_note(const std::vector<std::string>& names, size_t all,
                         const std::string& what) {
  if (names.empty()) return "";
  return std::to_string(names.size()) + " of " + std::to_string(all) + " " + what +
         "; the first is '" + names.front() + "'";
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

Tensor as_latents(const Tensor& array) {
  const bool other_float = array.scalar_type() == at::kHalf || array.scalar_type() == at::kDouble;
  return other_float ? array.to(at::kFloat) : array;
}

/// What the beginning of a file says of an item.
struct TrainingView::Outline {
  std::string problem;  ///< instead of all else
  bool is_array = false;
  Kind kind = Kind::rgb;
  c10::ScalarType stored_type = at::kByte;
  std::vector<int64_t> shape;  ///< of pictures without the channels

  c10::ScalarType type() const {
    return stored_type == at::kHalf || stored_type == at::kDouble ? at::kFloat : stored_type;
  }
  std::vector<int64_t> trained_shape(bool ramps_are_grey) const {
    if (is_array) return shape;
    return {trained_channels(kind, ramps_are_grey), shape[0], shape[1]};
  }
};

TrainingView::TrainingView(const FileSource& source, std::string path)
    : source_(source), path_(std::move(path)) {}

TrainingView::Outline TrainingView::outline_of(const std::string& name) const {
  const std::string where = path_ + "/" + name;
  Outline outline;
  outline.is_array = lower_extension(name) == ".npy";
  const auto read_from = [&](std::span<const std::byte> bytes) {
    if (!outline.is_array) {
      const ImageOutline image = outline_image(bytes, where);
      outline.kind = image.kind;
      outline.shape = {image.height, image.width};
      return;
    }
    const NpyOutline array = outline_npy(bytes, where);
    outline.stored_type = array.type;
    outline.shape = trained_array_shape(array.shape, where);
    if (outline.type() != at::kByte && outline.type() != at::kFloat)
      throw Error("the array in '" + where + "' is neither uint8 nor float32 (" +
                  c10::toString(outline.stored_type) + "), or empty");
  };
  const auto beginning = source_.read_beginning(name, usual_header_bytes);
  try {
    read_from(beginning);
  } catch (const Error&) {
    if (beginning.size() < usual_header_bytes) throw;
    read_from(source_.read(name));
  }
  return outline;
}

void TrainingView::look_at(const std::vector<std::string>& names) {
  // Reading waits for the disk more than it computes.
  const auto count = static_cast<int64_t>(names.size());
  const int threads = count < 64 ? 0 : 16;
  OrderedWorkers<Outline> workers(threads, 1024, count, [&](int64_t index) {
    try {
      return outline_of(names[static_cast<size_t>(index)]);
    } catch (const Error& error) {
      Outline broken;
      broken.problem = error.what();
      return broken;
    }
  });
  std::vector<Outline> outlines;
  for (int64_t i = 0; i < count; ++i) {
    if (i % 256 == 0) check_interrupt();
    outlines.push_back(workers.next());
  }
  ramps_are_grey_ = std::all_of(outlines.begin(), outlines.end(), [](const Outline& outline) {
    return outline.is_array || outline.kind == Kind::grey || outline.kind == Kind::grey_ramp;
  });
  check(outlines, names);
  take_notes(outlines, names);
}

void TrainingView::check(const std::vector<Outline>& outlines,
                         const std::vector<std::string>& names) const {
  const auto refuse =
      [&](const std::function<bool(const Outline&)>& is_wrong,
          const std::function<std::string(const Outline&, const std::string&)>& say) {
        const auto first = std::find_if(outlines.begin(), outlines.end(), is_wrong);
        if (first == outlines.end()) return;
        const auto count = std::count_if(first, outlines.end(), is_wrong);
        const std::string& name = names[static_cast<size_t>(first - outlines.begin())];
        throw Error(say(*first, name) +
                    (count == 1 ? ""
                                : " (" + std::to_string(count) + " of " +
                                      std::to_string(names.size()) + " files are like that)"));
      };
  refuse([](const Outline& o) { return !o.problem.empty(); },
         [](const Outline& o, const std::string&) { return o.problem; });
  refuse(
      [](const Outline& o) { return !o.is_array && o.kind == Kind::grey_deep; },
      [&](const Outline&, const std::string& name) {
        return "'" + name + "' in '" + path_ +
               "' has 16 bits or more per pixel; convert the dataset with 'edm2 dataset convert' "
               "first";
      });
  if (outlines.empty()) return;
  const auto type = outlines.front().type();
  refuse([&](const Outline& o) { return o.type() != type; },
         [&](const Outline& o, const std::string& name) {
           return "'" + name + "' in '" + path_ + "' holds " + c10::toString(o.type()) +
                  ", the first image " + c10::toString(type) + "; all images must be of one type";
         });
  const auto shape = outlines.front().trained_shape(ramps_are_grey_);
  refuse([&](const Outline& o) { return o.trained_shape(ramps_are_grey_) != shape; },
         [&](const Outline& o, const std::string& name) {
           const auto other = o.trained_shape(ramps_are_grey_);
           const bool channels_alone = !o.is_array && other[1] == shape[1] && other[2] == shape[2];
           return "'" + name + "' in '" + path_ + "' is " + shape_text(other) +
                  " (channels x height x width), the first image is " + shape_text(shape) +
                  "; all images must have one size" +
                  (channels_alone
                       ? " and the same channels ('edm2 dataset convert' makes RGB of all)"
                       : "");
         });
}

void TrainingView::take_notes(const std::vector<Outline>& outlines,
                              const std::vector<std::string>& names) {
  std::vector<std::string> palettes, inks, alpha, floats;
  for (size_t i = 0; i < outlines.size(); ++i) {
    const Outline& outline = outlines[i];
    if (outline.is_array) {
      if (outline.stored_type != outline.type()) floats.push_back(names[i]);
      continue;
    }
    if (outline.kind == Kind::palette || (outline.kind == Kind::grey_ramp && !ramps_are_grey_))
      palettes.push_back(names[i]);
    if (outline.kind == Kind::cmyk) inks.push_back(names[i]);
    if (outline.kind == Kind::grey_alpha || outline.kind == Kind::rgb_alpha)
      alpha.push_back(names[i]);
  }
  notes_.clear();
  for (std::string note :
       {counted_note(palettes, names.size(), "pictures have a palette and are used as RGB"),
        counted_note(inks, names.size(), "pictures are CMYK and are used as RGB"),
        counted_note(alpha, names.size(),
                     "pictures have an alpha channel, which networks are trained on as one more "
                     "channel ('edm2 dataset convert' drops it)"),
        counted_note(
            floats, names.size(),
            "arrays hold floating-point numbers of 16 or 64 bits and are used as float32")})
    if (!note.empty()) notes_.push_back(std::move(note));
}

Tensor TrainingView::decode(const std::string& name) const {
  const auto bytes = source_.read(name);
  const std::string where = path_ + "/" + name;
  if (lower_extension(name) == ".npy") {
    const Tensor array = as_latents(read_npy(bytes, where));
    const auto shape = trained_array_shape({array.sizes().begin(), array.sizes().end()}, where);
    if (array.scalar_type() != at::kByte && array.scalar_type() != at::kFloat)
      throw Error("the array in '" + where + "' is neither uint8 nor float32, or empty");
    return array.reshape(shape);
  }
  const Image decoded = decode_for_training(bytes, where, ramps_are_grey_);
  Tensor hwc = at::empty({decoded.height, decoded.width, decoded.channels}, at::kByte);
  std::memcpy(hwc.data_ptr(), decoded.pixels.data(), decoded.pixels.size());
  return hwc.permute({2, 0, 1}).contiguous();
}

void check_layout_for_training(const FileSource& source, const std::vector<std::string>& items,
                               const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    SourceOptions options;
    options.path = path;
    options.split = "all";
    options.content = SourceContent::both;
    if (const auto special = open_special_folder(options))
      throw Error(
          "'" + path + "' holds " +
          (special->kind() == "tar" ? std::string("tar shards")
                                    : "the files of " + special->kind()) +
          ", and training reads folders and zip archives of pictures; convert it with 'edm2 "
          "dataset convert' first");
  }
  for (const FileProblem& problem : source.problems())
    if (std::binary_search(items.begin(), items.end(), problem.name) ||
        problem.name == "dataset.json")
      throw Error("'" + problem.name + "' in '" + path + "' is refused: " + problem.reason);
}

TrainingVerdict training_verdict(const std::string& path) {
  TrainingVerdict verdict;
  try {
    const ImageDataset dataset({.path = path, .cache_bytes = 0});
    const auto& shape = dataset.image_shape();
    with_measured_statistics(
        choose_encoder(EncoderChoice::automatic, shape[0], dataset.image_type()), path);
    if (shape[1] != shape[2]) throw Error("pictures are not square");
    verdict.notes = dataset.notes();
    verdict.shape = shape;
    verdict.size = dataset.size();
    verdict.label_dim = dataset.label_dim();
  } catch (const Error& error) {
    verdict.obstacle = error.what();
  }
  return verdict;
}

}  // namespace edm2
