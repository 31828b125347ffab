#include "edm2/data/dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/folder_classes.h"
#include "data/foreign_files.h"
#include "data/label_file.h"
#include "data/label_rules.h"
#include "data/name_text.h"
#include "data/training_view.h"
#include "edm2/core/error.h"
#include "edm2/core/random.h"
#include "io/system_files.h"

namespace edm2 {
ImageDataset::~ImageDataset() = default;

ImageDataset::ImageDataset(ImageDatasetOptions options) : options_(std::move(options)) {
  if (options_.max_size && *options_.max_size < 1)
    throw Error("a dataset must keep at least one image, not " +
                std::to_string(*options_.max_size));
  source_ = open_file_source(options_.path);
  std::vector<std::string> others;
  for (const auto& name : source_->names()) {
    const bool is_image = has_image_extension(name) || lower_extension(name) == ".npy";
    (is_image ? image_names_ : others).push_back(name);
  }
  for (std::string note :
       {system_files_note(source_->system_files()), unread_pictures_note(others)})
    if (!note.empty()) notes_.push_back(std::move(note));
  if (options_.sift)
    for (std::string& note : options_.sift(*source_, image_names_))
      notes_.push_back(std::move(note));
  if (options_.look_ahead)
    check_layout_for_training(*source_, image_names_, options_.path.string());
  if (image_names_.empty())
    throw Error("No image files found in the specified path '" + options_.path.string() + "'" +
                what_is_instead(source_->names(), options_.path.string()));
  cache_.resize(image_names_.size());
  select_items();
  look_ahead();
  const Tensor first = view_->decode(image_names_[0]);
  image_shape_ = first.sizes().vec();
  image_type_ = first.scalar_type();
  if (options_.use_labels) load_labels();
}

/// The first of all files says what the others must be.
void ImageDataset::look_ahead() {
  std::vector<std::string> names = {image_names_[0]};
  if (options_.look_ahead)
    for (const Entry& entry : items_)
      if (entry.image != 0 && !entry.flip) names.push_back(image_names_[entry.image]);
  view_ = std::make_unique<TrainingView>(*source_, options_.path.string());
  view_->look_at(names);
  if (options_.look_ahead)
    notes_.insert(notes_.end(), view_->notes().begin(), view_->notes().end());
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
  const std::vector<std::string_view> names(image_names_.begin(), image_names_.end());
  FileLabels file = labels_from_file(*source_, options_.path.string(), names);
  for (std::string& note : file.notes) notes_.push_back(std::move(note));
  if (!file.exists && std::filesystem::is_directory(options_.path)) return label_by_folders();
  if (!file.listed) return;
  LabelTable table;
  const auto is_missing = [](const Label& label) { return label.is_null(); };
  const auto missing = std::count_if(file.labels.begin(), file.labels.end(), is_missing);
  if (missing > 0) {
    const auto first = std::find_if(file.labels.begin(), file.labels.end(), is_missing);
    const bool none = missing == std::ssize(file.labels);
    throw Error(missing_labels(file.where, static_cast<size_t>(missing), names.size(),
                               image_names_[static_cast<size_t>(first - file.labels.begin())],
                               none ? file.some_name : "") +
                "; label every image or set \"labels\" to null");
  }
  for (size_t i = 0; i < names.size(); ++i)
    table.add(file.labels[i], file.where + " gives '" + image_names_[i] + "' ");
  label_dim_ = table.form.dim();
  class_labels_ = std::move(table.classes);
  if (!table.values.empty()) vector_labels_ = at::tensor(table.values).reshape({-1, label_dim_});
}

/// As datasets are made of such folders.
void ImageDataset::label_by_folders() {
  const std::vector<std::string_view> names(image_names_.begin(), image_names_.end());
  FolderClasses classes = classes_of_folders(names);
  const size_t count = classes.folders.size();
  if (count < 2) return;
  notes_.push_back("there is no dataset.json, so the names of the " + with_commas(count) +
                   " folders are the classes, in sorted order: " + numbered_names(classes.folders));
  label_dim_ = static_cast<int64_t>(count);
  class_labels_ = std::move(classes.class_of);
  class_names_ = std::move(classes.folders);
}

Tensor ImageDataset::load_image(size_t image) const {
  {
    const std::lock_guard lock(cache_mutex_);
    if (cache_[image].defined()) return cache_[image];
  }
  Tensor pixels = view_->decode(image_names_[image]);
  if (pixels.scalar_type() != image_type_)
    throw Error("'" + image_names_[image] + "' in '" + options_.path.string() + "' holds " +
                c10::toString(pixels.scalar_type()) + ", the first image " +
                c10::toString(image_type_) + "; all images must be of one type");
  if (pixels.sizes().vec() != image_shape_)
    throw Error("'" + image_names_[image] + "' in '" + options_.path.string() + "' is " +
                shape_text(pixels.sizes().vec()) +
                " (channels x height x width), the first image is " + shape_text(image_shape_) +
                "; all images must have one size");
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

std::map<int64_t, int64_t> ImageDataset::class_counts() const {
  std::map<int64_t, int64_t> counts;
  for (const int64_t label : class_labels_) ++counts[label];
  return counts;
}

const std::string& ImageDataset::item_name(int64_t index) const {
  return image_names_[items_.at(static_cast<size_t>(index)).image];
}

}  // namespace edm2
