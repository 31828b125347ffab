// Files with all pictures of a run.
#include <ATen/ATen.h>

#include <utility>

#include "edm2/io/array_stream.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "edm2/io/safetensors.h"
#include "generate/contact_sheet.h"
#include "generate/output.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

/// --grid.
class GridFile final : public Output {
 public:
  GridFile(fs::path path, int64_t count, int64_t columns)
      : path_(std::move(path)), sheet_(count, columns) {}
  void add(const GeneratedBatch& batch) override { sheet_.add(batch.images); }
  void finish() override { write_file(path_, encode_png(sheet_.image(), png_for_photographs)); }

 private:
  const fs::path path_;
  ContactSheet sheet_;
};

/// --npz and --latents: arrays that grow on disk, batch by batch.
class ArrayFile final : public Output {
 public:
  ArrayFile(fs::path path, int64_t count, bool with_images)
      : path_(std::move(path)), count_(count), with_images_(with_images) {}

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
    stream_ = has_extension(path_, ".safetensors") ? stream_safetensors(path_, specs)
                                                   : stream_npz(path_, specs);
  }

  const fs::path path_;
  const int64_t count_;
  const bool with_images_;
  std::unique_ptr<ArrayStream> stream_;
};

}  // namespace

std::unique_ptr<Output> make_grid(const fs::path& path, int64_t count, int64_t columns) {
  return std::make_unique<GridFile>(path, count, columns);
}

std::unique_ptr<Output> make_array_file(const fs::path& path, int64_t count, bool with_images) {
  return std::make_unique<ArrayFile>(path, count, with_images);
}

}  // namespace edm2
