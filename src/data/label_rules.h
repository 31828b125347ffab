/// What people write as labels, and what it means.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/label_file.h"

namespace edm2 {

/// As Python's int() reads a text: blanks around it, a sign, leading zeros, single '_' between
/// digits. Nothing for other texts and for numbers beyond 64 bits.
std::optional<int64_t> python_int(std::string_view text);

/// Where labels stand, for messages and rules.
struct LabelPlace {
  std::string where;  ///< "dataset.json in 'x'"
  /// Values are cells of a table: a class below 0 is refused, and numbers of which some are not
  /// whole are vectors of length 1.
  bool table = false;
  /// What number i labels, for messages: "'a/1.png'".
  std::function<std::string(size_t)> name_of;
};

/// Makes class numbers (integers) and vectors (arrays of numbers) out of all that means them: whole
/// numbers as 1.0, "1" or true, vectors of such, and names of classes, which are numbered in sorted
/// order. Null stays null. `notes` gets a sentence on each choice. Throws Error where the meaning
/// is not certain: fractions as classes, names among numbers, other values.
void settle_labels(std::vector<Label>& labels, const LabelPlace& place,
                   std::vector<std::string>& notes);
/// The same for the labels of items, which messages name unless `place` does.
void settle_labels(LabelList& items, LabelPlace place, std::vector<std::string>& notes);

/// "dataset.json in 'x' has no label for 17 of 50,000 pictures, the first is 'y'", and a name that
/// it has, if no picture has a label; for one missing label "... has no label for 'y' (1 of ...)".
std::string missing_labels(const std::string& where, size_t missing, size_t pictures,
                           const std::string& first, std::string_view listed);

/// Classes that training accepts.
constexpr int64_t most_classes = 1'000'000;

/// What the labels of a dataset must have in common: classes that training accepts, or vectors of
/// one length whose numbers are finite as float32.
class LabelForm {
 public:
  /// What is wrong with the next label, as "the class -1; ..."; "" if nothing is.
  std::string problem_of(const Label& label);
  /// Number of classes so far, or the length of the vectors.
  int64_t dim() const { return dim_; }

 private:
  enum class Kind { unknown, classes, vectors } kind_ = Kind::unknown;
  int64_t dim_ = 0;
};

/// The labels of all images, as training takes them: either class numbers or vectors of one length.
struct LabelTable {
  std::vector<int64_t> classes;
  std::vector<float> values;
  LabelForm form;

  /// `subject` begins the message of an error.
  void add(const Label& label, const std::string& subject);
};

}  // namespace edm2
