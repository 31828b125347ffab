#include "generate/output.h"

#include <ATen/ATen.h>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "generate/contact_sheet.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// --outdir: a PNG for each seed.
class PngFiles : public Output {
 public:
  PngFiles(fs::path folder, bool subdirs) : folder_(std::move(folder)), subdirs_(subdirs) {}
  void add(const GeneratedBatch& batch) override {
    for (size_t i = 0; i < batch.seeds.size(); ++i) {
      const fs::path file = folder_ / image_file_name(batch.seeds[i], subdirs_);
      fs::create_directories(file.parent_path());
      write_file(file, encode_png(to_image(batch.images[static_cast<int64_t>(i)])));
    }
  }
  void finish() override {}

 private:
  fs::path folder_;
  bool subdirs_;
};

/// --grid.
class GridFile : public Output {
 public:
  GridFile(fs::path path, int64_t count, int64_t columns)
      : path_(std::move(path)), sheet_(count, columns) {}
  void add(const GeneratedBatch& batch) override { sheet_.add(batch.images); }
  void finish() override { write_file(path_, encode_png(sheet_.image())); }

 private:
  fs::path path_;
  ContactSheet sheet_;
};

/// --npz.
class NpzOutput : public Output {
 public:
  explicit NpzOutput(fs::path path) : path_(std::move(path)) {}
  void add(const GeneratedBatch& batch) override {
    if (batch.images.defined()) images_.push_back(batch.images.cpu());
    latents_.push_back(batch.latents.cpu());
    if (batch.labels.defined()) labels_.push_back(batch.labels.cpu());
    seeds_.insert(seeds_.end(), batch.seeds.begin(), batch.seeds.end());
  }
  void finish() override {
    if (seeds_.empty()) return;
    std::vector<std::pair<std::string, Tensor>> arrays;
    if (!images_.empty())  // NHWC, as evaluation tools expect
      arrays.emplace_back("arr_0", at::cat(images_).permute({0, 2, 3, 1}).contiguous());
    if (!labels_.empty()) arrays.emplace_back("labels", at::cat(labels_));
    arrays.emplace_back("seeds", at::tensor(seeds_, at::kLong));
    arrays.emplace_back("latents", at::cat(latents_));
    write_npz(path_, arrays);
  }

 private:
  fs::path path_;
  std::vector<Tensor> images_, latents_, labels_;
  std::vector<int64_t> seeds_;
};

}  // namespace

Outputs make_picture_outputs(const GenerateOptions& options) {
  Outputs outputs;
  if (options.outdir)
    outputs.push_back(std::make_unique<PngFiles>(*options.outdir, options.subdirs));
  return outputs;
}

Outputs make_collected_outputs(const GenerateOptions& options, int64_t count) {
  Outputs outputs;
  if (count == 0) return outputs;
  if (options.grid)
    outputs.push_back(std::make_unique<GridFile>(*options.grid, count, options.grid_columns));
  if (options.npz) outputs.push_back(std::make_unique<NpzOutput>(*options.npz));
  return outputs;
}

bool needs_images(const GenerateOptions& options, const Encoder& encoder) {
  return options.outdir || options.grid || encoder.latent_channels() == 3;
}

void prepare_output_folders(const GenerateOptions& options) {
  if (options.outdir) prepare_output_folder(*options.outdir);
  if (options.grid) prepare_output_folder(fs::absolute(*options.grid).parent_path(), "--grid");
  if (options.npz) prepare_output_folder(fs::absolute(*options.npz).parent_path(), "--npz");
}

}  // namespace edm2
