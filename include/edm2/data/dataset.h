/// Training data: pictures (or stored latents) and labels from a folder or zip archive.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/data/file_source.h"

namespace edm2 {

enum class LabelKind {
  none,
  classes,  ///< integers; items get one-hot vectors
  vectors,  ///< lists of numbers
};

/// Which items of a dataset are used, and how.
struct ImageDatasetOptions {
  std::filesystem::path path;            ///< folder, or .zip file
  bool use_labels = true;                ///< false: as if the dataset had none
  std::optional<int64_t> max_size = {};  ///< keep that many images, chosen by random_seed
  bool xflip = false;                    ///< the mirrored images follow the others
  int64_t random_seed = 0;
  int64_t cache_bytes = int64_t{1} << 30;  ///< decoded images are kept while they fit
  /// Takes what is not to be read out of the names of the pictures, and returns notes about it.
  std::function<std::vector<std::string>(const FileSource&, std::vector<std::string>& names)> sift =
      {};
  /// The headers of all images are read at the start, so that what cannot go together is an Error
  /// then. false: for those who want the labels alone, or compare the images themselves.
  bool look_ahead = true;
};

class TrainingView;

/// Images in the order of their names; all of one shape. Palettes and CMYK become RGB, other
/// pictures keep their channels; arrays of float16 and float64 become float32. Items may be read by
/// several threads at once.
class ImageDataset {
 public:
  /// Labels come from dataset.json, or else, in a folder, from the names of its folders. Throws
  /// Error: no such path, no images, images of several shapes or with 16 bits, labels that do not
  /// cover the images, ...
  explicit ImageDataset(ImageDatasetOptions options);
  ~ImageDataset();

  /// Number of items, mirrored ones included.
  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  /// [C,H,W] of every item.
  const std::vector<int64_t>& image_shape() const { return image_shape_; }
  /// Of every item: uint8 (pixels) or float32 (latents).
  c10::ScalarType image_type() const { return image_type_; }
  /// 0 = unlabelled, else number of classes or length of the label vectors.
  int64_t label_dim() const { return label_dim_; }
  LabelKind label_kind() const;
  /// Root mean square of the label vectors' Euclidean lengths; 1 for classes, 0 without labels.
  double label_length() const;

  /// What the trainer sees of one picture.
  struct Item {
    Tensor image;  ///< [C,H,W] uint8, or float32 for .npy latents
    Tensor label;  ///< [label_dim] float32: one-hot, or the vector
  };
  /// 0 <= index < size(). Throws Error naming the file if it is damaged or of another shape.
  Item item(int64_t index) const;
  /// The label of an item, without decoding its image.
  Tensor label(int64_t index) const;
  /// Images of each class that has some; empty for other labels.
  std::map<int64_t, int64_t> class_counts() const;
  /// Names of the classes, in the order of their numbers, if folders name them; empty otherwise.
  const std::vector<std::string>& class_names() const { return class_names_; }
  /// What the user should know of how the dataset was read, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }
  /// The file of an item, for messages.
  const std::string& item_name(int64_t index) const;
  /// The first bytes of that file.
  std::vector<std::byte> item_beginning(int64_t index, size_t size) const;

 private:
  struct Entry {
    size_t image;  // index into image_names_
    bool flip;
  };

  void select_items();
  void look_ahead();
  void load_labels();
  void label_by_folders();
  Tensor load_image(size_t image) const;

  ImageDatasetOptions options_;
  std::unique_ptr<FileSource> source_;
  std::unique_ptr<TrainingView> view_;  // of source_
  std::vector<std::string> image_names_, notes_;
  std::vector<Entry> items_;
  std::vector<int64_t> image_shape_;
  c10::ScalarType image_type_ = c10::ScalarType::Byte;

  int64_t label_dim_ = 0;
  std::vector<int64_t> class_labels_;  // per image, if labels are class indices
  std::vector<std::string> class_names_;
  Tensor vector_labels_;  // [images, label_dim], if labels are vectors

  mutable std::mutex cache_mutex_;
  mutable std::vector<Tensor> cache_;  // per image; undefined = not decoded yet
  mutable int64_t cached_bytes_ = 0;
};

}  // namespace edm2
