#include "edm2/data/dataset.h"
#include "python/arrays.h"
#include "python/bridge_parts.h"
#include "python/translate.h"

namespace edm2::python {
namespace {

class LibraryDataset final : public Dataset {
 public:
  explicit LibraryDataset(ImageDatasetOptions options) : dataset_(std::move(options)) {}

  int64_t size() const override { return dataset_.size(); }
  std::vector<int64_t> image_shape() const override { return dataset_.image_shape(); }
  int64_t label_dim() const override { return dataset_.label_dim(); }
  std::string label_kind() const override {
    switch (dataset_.label_kind()) {
      case LabelKind::classes:
        return "classes";
      case LabelKind::vectors:
        return "vectors";
      default:
        return "none";
    }
  }
  std::vector<std::string> notes() const override { return dataset_.notes(); }
  std::pair<Array, Array> item(int64_t index) const override {
    return translated([&] {
      const ImageDataset::Item item = dataset_.item(index);
      return std::pair(to_array(item.image),
                       dataset_.label_dim() > 0 ? to_array(item.label) : Array());
    });
  }
  std::string item_name(int64_t index) const override { return dataset_.item_name(index); }

 private:
  ImageDataset dataset_;
};

}  // namespace

std::unique_ptr<Dataset> open_dataset(const std::string& path, bool use_labels,
                                      std::optional<int64_t> max_size, bool xflip, int64_t seed) {
  return translated([&] {
    ImageDatasetOptions options;
    options.path = path;
    options.use_labels = use_labels;
    options.max_size = max_size;
    options.xflip = xflip;
    options.random_seed = seed;
    options.cache_bytes = 0;  // whoever reads item by item has a cache of their own, or none
    return std::make_unique<LibraryDataset>(std::move(options));
  });
}

}  // namespace edm2::python
