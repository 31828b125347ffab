// A file for each picture, encoded and written while the next batch is drawn.
#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>
#include <utility>

#include "data/contact_sheet.h"
#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "generate/background_jobs.h"
#include "generate/output.h"
#include "generate/parameters.h"
#include "generate/trajectory.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// Leaves cores to the networks.
size_t writer_threads() {
  return std::clamp<size_t>(std::thread::hardware_concurrency() / 2, 1, 4);
}

void write_into_folder(const fs::path& file, std::span<const std::byte> contents) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) throw Error("cannot create the folder of " + file.string() + ": " + error.message());
  write_file(file, contents);
}

/// What both kinds share: at most one batch waits to be written.
class FilePerPicture : public Output {
 public:
  FilePerPicture(const GenerateOptions& options, nlohmann::ordered_json parameters)
      : folder_(*options.outdir),
        subdirs_(options.subdirs),
        labels_given_(options.label_vector || options.labels),
        parameters_(std::move(parameters)),
        jobs_(writer_threads(), static_cast<size_t>(options.max_batch_size)) {}
  void finish() override { jobs_.finish(); }

 protected:
  /// What each picture says of itself.
  std::vector<PngText> texts(const GeneratedBatch& batch) const {
    std::vector<PngText> result(batch.seeds.size());
    if (parameters_.is_null()) return result;
    const bool has_classes = batch.labels.defined() && !labels_given_;
    const Tensor classes = has_classes ? batch.labels.argmax(1).cpu() : Tensor();
    for (size_t i = 0; i < result.size(); ++i) {
      nlohmann::ordered_json parameters = parameters_;
      if (labels_given_) add_label(parameters, batch.labels[static_cast<int64_t>(i)]);
      std::optional<int64_t> class_idx;
      if (classes.defined()) class_idx = classes.const_data_ptr<int64_t>()[i];
      result[i][parameters_keyword] = picture_parameters(parameters, batch.seeds[i], class_idx);
    }
    return result;
  }

  const fs::path folder_;
  const bool subdirs_, labels_given_;
  const nlohmann::ordered_json parameters_;
  BackgroundJobs jobs_;
};

/// --outdir: a PNG for each seed.
class PngFiles final : public FilePerPicture {
 public:
  using FilePerPicture::FilePerPicture;

  void add(const GeneratedBatch& batch) override {
    // Tensor operations here and not in the jobs, whose threads would start a pool each.
    const Tensor pixels = batch.images.cpu().permute({0, 2, 3, 1}).contiguous();  // [N,H,W,C]
    const std::vector<PngText> text = texts(batch);
    for (size_t i = 0; i < batch.seeds.size(); ++i) {
      const fs::path file = folder_ / image_file_name(batch.seeds[i], subdirs_);
      jobs_.add([pixels, index = static_cast<int64_t>(i), text = text[i], file] {
        const int64_t height = pixels.size(1), width = pixels.size(2), channels = pixels.size(3);
        const int64_t size = height * width * channels;
        const uint8_t* first = pixels.const_data_ptr<uint8_t>() + index * size;
        const Image image{width, height, channels, {first, first + size}};
        write_into_folder(file, encode_png(image, png_for_photographs, text));
      });
    }
  }
};

/// --trajectory.
class TrajectoryFiles final : public FilePerPicture {
 public:
  TrajectoryFiles(const GenerateOptions& options, const nlohmann::ordered_json& parameters)
      : FilePerPicture(options, parameters), format_(*options.trajectory) {}

  void add(const GeneratedBatch& batch) override {
    const Tensor rgb = to_rgb(batch.frames.flatten(0, 1))
                           .unflatten(0, {batch.frames.size(0), batch.frames.size(1)});
    const Tensor pixels = rgb.permute({0, 1, 3, 4, 2}).contiguous();  // [N,F,H,W,3]
    const std::vector<PngText> text = texts(batch);
    for (size_t i = 0; i < batch.seeds.size(); ++i) {
      const Tensor frames = pixels[static_cast<int64_t>(i)];
      const fs::path file = folder_ / trajectory_file_name(batch.seeds[i], subdirs_, format_);
      jobs_.add([frames, text = text[i], file, format = format_] {
        write_into_folder(file, format == TrajectoryFormat::webp ? encode_animation(frames)
                                                                 : encode_strip(frames, text));
      });
    }
  }

 private:
  const TrajectoryFormat format_;
};

}  // namespace

Outputs make_picture_outputs(const GenerateOptions& options,
                             const nlohmann::ordered_json& parameters) {
  Outputs outputs;
  if (options.outdir) outputs.push_back(std::make_unique<PngFiles>(options, parameters));
  if (options.trajectory) outputs.push_back(std::make_unique<TrajectoryFiles>(options, parameters));
  return outputs;
}

}  // namespace edm2
