// Files with all pictures of a run.
#include <ATen/ATen.h>

#include <utility>

#include "data/contact_sheet.h"
#include "edm2/data/file_source.h"
#include "edm2/io/array_stream.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "generate/output.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// --grid.
class GridFile final : public Output {
 public:
  GridFile(const GenerateOptions& options, PngText text)
      : path_(*options.grid),
        text_(std::move(text)),
        sheet_(static_cast<int64_t>(options.seeds.size()), options.grid_columns) {}
  void add(const GeneratedBatch& batch) override { sheet_.add(batch.images); }
  void finish() override {
    write_file(path_, encode_png(sheet_.image(), png_for_photographs, text_));
  }

 private:
  const fs::path path_;
  const PngText text_;
  ContactSheet sheet_;
};

/// --npz and --latents: arrays that grow on disk, batch by batch.
class ArrayFile final : public Output {
 public:
  /// `text` goes into safetensors files; numpy's have no place for it.
  ArrayFile(fs::path path, size_t count, bool with_images, PngText text)
      : path_(std::move(path)),
        count_(static_cast<int64_t>(count)),
        with_images_(with_images),
        text_(std::move(text)) {}

  void add(const GeneratedBatch& batch) override {
    const std::vector<std::pair<std::string, Tensor>> rows = arrays_of(batch);
    if (!stream_) open(rows);
    for (const auto& [name, values] : rows) stream_->append(name, values);
  }
  void finish() override { stream_->finish(); }

 private:
  std::vector<std::pair<std::string, Tensor>> arrays_of(const GeneratedBatch& batch) const {
    std::vector<std::pair<std::string, Tensor>> arrays;
    if (with_images_)  // NHWC, as evaluation tools expect
      arrays.emplace_back("arr_0", batch.images.permute({0, 2, 3, 1}));
    if (batch.labels.defined()) arrays.emplace_back("labels", batch.labels);
    arrays.emplace_back("seeds", at::tensor(batch.seeds, at::kLong));
    arrays.emplace_back("latents", batch.latents);
    return arrays;
  }

  void open(const std::vector<std::pair<std::string, Tensor>>& first) {
    std::vector<ArraySpec> specs;
    for (const auto& [name, values] : first) {
      specs.push_back({name, values.scalar_type(), values.sizes().vec()});
      specs.back().shape[0] = count_;
    }
    stream_ = lower_extension(path_.string()) == ".safetensors"
                  ? stream_safetensors(path_, specs, text_)
                  : stream_npz(path_, specs);
  }

  const fs::path path_;
  const int64_t count_;
  const bool with_images_;
  const PngText text_;
  std::unique_ptr<ArrayStream> stream_;
};

}  // namespace

Outputs make_collected_outputs(const GenerateOptions& options,
                               const nlohmann::ordered_json& parameters) {
  Outputs outputs;
  if (options.seeds.empty()) return outputs;
  const size_t count = options.seeds.size();
  const PngText text = sheet_text(options, parameters);
  if (options.grid && !options.resume)  // resumed runs make it from the files
    outputs.push_back(std::make_unique<GridFile>(options, text));
  if (options.npz)
    outputs.push_back(std::make_unique<ArrayFile>(*options.npz, count, /*with_images=*/true, text));
  if (options.latents)
    outputs.push_back(
        std::make_unique<ArrayFile>(*options.latents, count, /*with_images=*/false, text));
  if (options.trajectory_grid) outputs.push_back(make_trajectory_grid(options, text));
  return outputs;
}

}  // namespace edm2
