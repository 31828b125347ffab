// How the files of a dataset become what networks are trained on. Training and `dataset check` ask
// here, so that they say the same.
#pragma once

#include <string>
#include <vector>

#include "edm2/core/tensor.h"
#include "edm2/data/file_source.h"

namespace edm2 {

/// Floating-point numbers of 16 and 64 bits as float32; others as they are.
Tensor as_latents(const Tensor& array);

/// Pictures keep their channels; palettes and CMYK become RGB. Arrays (.npy) keep their last two
/// axes, and all others become one.
class TrainingView {
 public:
  /// `path` of the source is for messages. The source must outlive this.
  TrainingView(const FileSource& source, std::string path);

  /// Looks at the beginning of each file, on several threads, and finds out what all of them have
  /// in common; must come before decode(). Throws Error if they cannot be trained on together: the
  /// first that is no picture, has grey of 16 bits or more, or another shape or type than the first
  /// of all.
  void look_at(const std::vector<std::string>& names);
  /// What the user should know of these files, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }

  /// [C,H,W] uint8 or float32. Throws Error naming the file. May be called by several threads.
  Tensor decode(const std::string& name) const;

 private:
  struct Outline;
  Outline outline_of(const std::string& name) const;
  void check(const std::vector<Outline>& outlines, const std::vector<std::string>& names) const;
  void take_notes(const std::vector<Outline>& outlines, const std::vector<std::string>& names);

  const FileSource& source_;
  std::string path_;
  std::vector<std::string> notes_;
  bool ramps_are_grey_ = false;
};

/// Throws Error unless training can read the dataset at all: a folder of tar shards and the like,
/// entries with names that no honest archive has.
void check_layout_for_training(const FileSource& source, const std::vector<std::string>& items,
                               const std::string& path);

/// Why the trainer would refuse the dataset with automatic choices, in one sentence; "" if it would
/// not (but for files that are damaged behind their headers). Adds to `notes` what it would say.
struct TrainingVerdict {
  std::string obstacle;
  std::vector<std::string> notes;
  std::vector<int64_t> shape;  ///< of all items; empty if there is an obstacle
  int64_t size = 0;
  int64_t label_dim = 0;
};
TrainingVerdict training_verdict(const std::string& path);

/// "2x3x4".
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace edm2
