#include "edm2/data/dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <unordered_map>

#include "data/label_file.h"
#include "edm2/core/error.h"
#include "edm2/core/random.h"
#include "edm2/io/image.h"
#include "edm2/io/npz.h"
#include "io/system_files.h"

namespace edm2 {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

std::vector<int64_t> shape_of(const Tensor& tensor) {
  return {tensor.sizes().begin(), tensor.sizes().end()};
}

/// Python's names may hold the separators of the system where they were made.
std::string with_slashes(std::string name) {
  std::replace(name.begin(), name.end(), '\\', '/');
  return name;
}

/// The labels of all images: either class indices or vectors of one length.
struct LabelTable {
  std::vector<int64_t> classes;
  std::vector<float> values;
  int64_t dim = 0;

  /// `subject` begins the message of an error.
  void add(const Label& label, const std::string& subject) {
    const bool is_vector = label.is_array();
    if (is_vector ? !classes.empty() : !values.empty())
      throw Error(subject + "a label of another kind than the images before it");
    if (is_vector) {
      const auto length = static_cast<int64_t>(label.size());
      if (!values.empty() && length != dim)
        throw Error(subject + "a label of another length than the images before it");
      dim = length;
      for (const auto& value : label) values.push_back(value.get<float>());
      return;
    }
    constexpr uint64_t max_classes = 1'000'000;
    if (!label.is_number_unsigned() || label.get<uint64_t>() >= max_classes)
      throw Error(subject + "the class " + label.dump() + "; classes count from 0 to " +
                  std::to_string(max_classes - 1));
    classes.push_back(label.get<int64_t>());
    dim = std::max(dim, classes.back() + 1);
  }
};

}  // namespace

ImageDataset::ImageDataset(ImageDatasetOptions options) : options_(std::move(options)) {
  if (options_.max_size && *options_.max_size < 1)
    throw Error("a dataset must keep at least one image, not " +
                std::to_string(*options_.max_size));
  source_ = open_file_source(options_.path);
  if (const std::string note = system_files_note(source_->system_files()); !note.empty())
    notes_.push_back(note);
  for (const auto& name : source_->names())
    if (has_image_extension(name) || lower_extension(name) == ".npy") image_names_.push_back(name);
  if (options_.sift)
    for (std::string& note : options_.sift(*source_, image_names_))
      notes_.push_back(std::move(note));
  if (image_names_.empty())
    throw Error("No image files found in the specified path '" + options_.path.string() + "'");
  cache_.resize(image_names_.size());
  select_items();
  const Tensor first = decode(0);
  image_shape_ = shape_of(first);
  image_type_ = first.scalar_type();
  if (options_.use_labels) load_labels();
}

void ImageDataset::select_items() {
  std::vector<int64_t> order(image_names_.size());
  std::iota(order.begin(), order.end(), 0);
  if (options_.max_size && *options_.max_size < static_cast<int64_t>(order.size())) {
    NumpyRandom(static_cast<uint32_t>(options_.random_seed & 0x7fffffff)).shuffle(order);
    order.resize(static_cast<size_t>(*options_.max_size));
    std::sort(order.begin(), order.end());
  }
  for (const bool flip : {false, true}) {
    if (flip && !options_.xflip) break;
    for (const int64_t image : order) items_.push_back({static_cast<size_t>(image), flip});
  }
}

void ImageDataset::load_labels() {
  const std::string where = "dataset.json in '" + options_.path.string() + "'";
  const auto list = read_label_file(*source_, options_.path.string());
  if (!list) return;
  std::unordered_map<std::string, const Label*> by_name;
  for (const auto& [name, label] : *list) by_name[name] = &label;

  LabelTable table;
  for (const auto& name : image_names_) {
    const auto found = by_name.find(with_slashes(name));
    if (found == by_name.end() || found->second->is_null())
      throw Error(where + " has no label for '" + name +
                  "'; label every image or set \"labels\" to null");
    table.add(*found->second, where + " gives '" + name + "' ");
  }
  label_dim_ = table.dim;
  class_labels_ = std::move(table.classes);
  if (!table.values.empty()) vector_labels_ = at::tensor(table.values).reshape({-1, label_dim_});
}

Tensor ImageDataset::decode(size_t image) const {
  const std::string& name = image_names_[image];
  const auto bytes = source_->read(name);
  const std::string where = options_.path.string() + "/" + name;
  if (lower_extension(name) == ".npy") {
    Tensor array = read_npy(bytes, where);
    if (array.dim() < 2) throw Error("the array in '" + where + "' is not an image");
    if (array.numel() == 0 ||
        (array.scalar_type() != at::kByte && array.scalar_type() != at::kFloat))
      throw Error("the array in '" + where + "' is neither uint8 nor float32, or empty");
    return array.reshape({-1, array.size(-2), array.size(-1)});
  }
  const Image decoded = decode_image(bytes, where);
  Tensor hwc = at::empty({decoded.height, decoded.width, decoded.channels}, at::kByte);
  std::memcpy(hwc.data_ptr(), decoded.pixels.data(), decoded.pixels.size());
  return hwc.permute({2, 0, 1}).contiguous();
}

Tensor ImageDataset::load_image(size_t image) const {
  {
    const std::lock_guard lock(cache_mutex_);
    if (cache_[image].defined()) return cache_[image];
  }
  Tensor pixels = decode(image);
  if (pixels.scalar_type() != image_type_)
    throw Error("'" + image_names_[image] + "' in '" + options_.path.string() + "' holds " +
                c10::toString(pixels.scalar_type()) + ", the first image " +
                c10::toString(image_type_) + "; all images must be of one type");
  if (shape_of(pixels) != image_shape_)
    throw Error("'" + image_names_[image] + "' in '" + options_.path.string() + "' is " +
                shape_text(shape_of(pixels)) + " (channels x height x width), the first image is " +
                shape_text(image_shape_) + "; all images must have one size");
  const std::lock_guard lock(cache_mutex_);
  const auto bytes = static_cast<int64_t>(pixels.nbytes());
  if (!cache_[image].defined() && cached_bytes_ + bytes <= options_.cache_bytes) {
    cache_[image] = pixels;
    cached_bytes_ += bytes;
  }
  return pixels;
}

ImageDataset::Item ImageDataset::item(int64_t index) const {
  const auto [image, flip] = items_.at(static_cast<size_t>(index));
  Item item;
  item.image = load_image(image);
  if (flip) item.image = item.image.flip(2);
  item.label = label(index);
  return item;
}

Tensor ImageDataset::label(int64_t index) const {
  const size_t image = items_.at(static_cast<size_t>(index)).image;
  Tensor label = at::zeros({label_dim_}, at::kFloat);
  if (!class_labels_.empty())
    label[class_labels_[image]] = 1;
  else if (vector_labels_.defined())
    label.copy_(vector_labels_[static_cast<int64_t>(image)]);
  return label;
}

LabelKind ImageDataset::label_kind() const {
  if (label_dim_ == 0) return LabelKind::none;
  return vector_labels_.defined() ? LabelKind::vectors : LabelKind::classes;
}

double ImageDataset::label_length() const {
  if (!vector_labels_.defined()) return label_dim_ > 0 ? 1 : 0;
  return std::sqrt(vector_labels_.to(at::kDouble).square().sum(1).mean().item<double>());
}

std::vector<std::byte> ImageDataset::item_beginning(int64_t index, size_t size) const {
  return source_->read_beginning(item_name(index), size);
}

const std::string& ImageDataset::item_name(int64_t index) const {
  return image_names_[items_.at(static_cast<size_t>(index)).image];
}

}  // namespace edm2
