#include "data/label_rules.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "data/name_text.h"
#include "data/table.h"
#include "edm2/core/error.h"
#include "io/code_pages.h"

namespace edm2 {
namespace {

constexpr std::string_view python_blanks = " \t\n\r\f\v\x1c\x1d\x1e\x1f";

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(python_blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(python_blanks) - begin + 1);
}

std::optional<double> number_in(std::string_view text) { return finite_number(trimmed(text)); }

/// The number that a value is or is written as; nothing for other values.
std::optional<double> number_of(const Label& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1.0 : 0.0;
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return number_in(std::string_view(value.get_ref<const std::string&>()));
  return std::nullopt;
}

bool is_whole(double value) { return value == std::floor(value) && std::abs(value) < 9e15; }

std::string short_text(const Label& value) {
  if (value.is_string()) return quoted_name(value.get_ref<const std::string&>());
  const std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 60) + "..." : text;
}

class Settling {
 public:
  Settling(std::vector<Label>& labels, const LabelPlace& place, std::vector<std::string>& notes)
      : labels_(labels), place_(place), notes_(notes) {}

  void run() {
    if (is_settled()) return;
    read_bracketed_lists();
    size_t first_number = none, first_name = none;
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (labels_[i].is_null()) continue;
      if (labels_[i].is_array()) {
        settle_vector(i);
      } else if (number_of(labels_[i])) {
        if (first_number == none) first_number = i;
      } else if (labels_[i].is_string()) {
        if (first_name == none) first_name = i;
      } else {
        fail(i,
             "a label that is neither an integer nor a list of numbers: " + short_text(labels_[i]));
      }
    }
    if (first_name != none)
      settle_names(first_name);
    else if (first_number != none)
      settle_numbers();
  }

 private:
  static constexpr size_t none = SIZE_MAX;

  [[noreturn]] void fail(size_t i, const std::string& what) const {
    throw Error(place_.where + " gives " + place_.name_of(i) + " " + what);
  }

  /// What this program writes.
  bool is_settled() const {
    return !place_.table && std::all_of(labels_.begin(), labels_.end(), [](const Label& label) {
      return label.is_null() || label.is_number_integer() ||
             (label.is_array() && !label.empty() &&
              std::all_of(label.begin(), label.end(),
                          [](const Label& v) { return v.is_number(); }));
    });
  }

  /// "[0.1, 0.2]" and "[0.1 0.2]", as pandas and NumPy write vectors into tables.
  void read_bracketed_lists() {
    for (Label& label : labels_) {
      if (!label.is_string()) continue;
      std::string_view text = trimmed(label.get_ref<const std::string&>());
      if (text.size() < 3 || text.front() != '[' || text.back() != ']') continue;
      text = text.substr(1, text.size() - 2);
      Label vector = Label::array();
      while (!(text = trimmed(text)).empty()) {
        const size_t end = std::min(text.find_first_of(", \t\n"), text.size());
        const auto number = number_in(text.substr(0, end));
        if (!number) break;
        vector.push_back(*number);
        text = trimmed(text.substr(end));
        if (text.starts_with(',')) text.remove_prefix(1);
      }
      if (text.empty() && !vector.empty()) label = std::move(vector);
    }
  }

  void settle_vector(size_t i) const {
    if (labels_[i].empty())
      fail(i, "a label that is neither an integer nor a list of numbers: an empty list");
    for (Label& value : labels_[i]) {
      if (value.is_number()) continue;
      const auto number = number_of(value);
      if (!number)
        fail(i, place_.table ? "several values that are not all numbers: " + short_text(value)
                             : "a label that is neither an integer nor a list of numbers: " +
                                   short_text(value) + " is not a number");
      value = *number;
    }
  }

  void settle_numbers() {
    size_t fraction = none;
    for (size_t i = 0; i < labels_.size() && fraction == none; ++i)
      if (const auto number = number_of(labels_[i]); number && !is_whole(*number)) fraction = i;
    if (fraction != none && !place_.table)
      fail(fraction, "the class " + short_text(labels_[fraction]) +
                         "; classes are whole numbers, and vectors stand in brackets");
    if (fraction != none)
      notes_.push_back(place_.where + " has numbers that are not whole, so they are vectors of " +
                       "length 1 and no classes, such as " + short_text(labels_[fraction]));
    for (size_t i = 0; i < labels_.size(); ++i) {
      const auto number = number_of(labels_[i]);
      if (!number) continue;  // null
      if (fraction != none) {
        labels_[i] = Label::array({*number});
        continue;
      }
      // Beyond 2^53 the text is more exact than the number.
      const auto whole =
          labels_[i].is_string() ? python_int(labels_[i].get<std::string>()) : std::nullopt;
      if (!labels_[i].is_number_integer())
        labels_[i] = whole ? *whole : static_cast<int64_t>(*number);
      if (place_.table && (*number < 0 || *number >= most_classes))
        fail(i, "the class " + short_text(labels_[i]) + "; classes count from 0 to " +
                    std::to_string(most_classes - 1));
      // The reader's own type for what is not negative.
      if (labels_[i].get<int64_t>() >= 0)
        labels_[i] = static_cast<uint64_t>(labels_[i].get<int64_t>());
    }
  }

  void settle_names(size_t first_name) {
    std::map<std::string, uint64_t> ranks;
    size_t number = none;
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (labels_[i].is_null()) continue;
      if (!labels_[i].is_string())
        fail(first_name, "the label " + short_text(labels_[first_name]) +
                             ", which is neither an integer nor a list of numbers as that of " +
                             place_.name_of(i));
      const std::string name(trimmed(labels_[i].get_ref<const std::string&>()));
      if (number == none && number_in(name)) number = i;
      ranks[name] = 0;
    }
    if (number != none) refuse_names_among_numbers(number);
    uint64_t next = 0;
    for (auto& [name, rank] : ranks) rank = next++;
    for (Label& label : labels_)
      if (label.is_string()) {
        const uint64_t rank = ranks[std::string(trimmed(label.get_ref<const std::string&>()))];
        label = rank;
      }
    std::vector<std::string> names;
    for (const auto& [name, rank] : ranks) names.push_back(name);
    notes_.push_back(place_.where + " has " + with_commas(ranks.size()) +
                     (ranks.size() == 1 ? " name" : " names") +
                     " of classes, numbered in sorted order: " + numbered_names(names));
    note_alike(ranks);
  }

  /// "nan", "#N/A" or "unknown" among numbers is what programs and people write for nothing, and
  /// as names of classes they would move all numbers. Few numbers among names are names.
  void refuse_names_among_numbers(size_t number) const {
    static constexpr std::string_view nothing[] = {"nan", "na", "n/a", "null", "none", "?", "-"};
    size_t numbers = 0, all = 0, odd = none;
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (!labels_[i].is_string()) continue;
      ++all;
      const std::string text(trimmed(labels_[i].get_ref<const std::string&>()));
      if (number_in(text)) {
        ++numbers;
      } else if (std::find(std::begin(nothing), std::end(nothing), caseless_text(text)) !=
                 std::end(nothing)) {
        fail_odd(i, number);
      } else if (odd == none) {
        odd = i;
      }
    }
    if (odd != none && 2 * numbers >= all) fail_odd(odd, number);
  }
  [[noreturn]] void fail_odd(size_t odd, size_t number) const {
    fail(odd, "the label " + short_text(labels_[odd]) + " and " + place_.name_of(number) +
                  " the number " + short_text(labels_[number]) +
                  "; give it a class, or leave the picture out");
  }

  void note_alike(const std::map<std::string, uint64_t>& ranks) {
    std::map<std::string, std::string> seen;
    for (const auto& [name, rank] : ranks) {
      const auto [other, added] = seen.emplace(caseless_text(composed_text(name)), name);
      if (added) continue;
      notes_.push_back(place_.where + " has " + quoted_name(other->second) + " and " +
                       quoted_name(name) + ", which are two classes");
      return;
    }
  }

  std::vector<Label>& labels_;
  const LabelPlace& place_;
  std::vector<std::string>& notes_;
};

}  // namespace

std::optional<int64_t> python_int(std::string_view text) {
  text = trimmed(text);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::string digits = negative ? "-" : "";
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && i > 0 && i + 1 < text.size() && text[i - 1] != '_') continue;
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    digits += text[i];
  }
  int64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

void settle_labels(std::vector<Label>& labels, const LabelPlace& place,
                   std::vector<std::string>& notes) {
  Settling(labels, place, notes).run();
}

void settle_labels(LabelList& items, LabelPlace place, std::vector<std::string>& notes) {
  if (!place.name_of) place.name_of = [&](size_t i) { return quoted_name(items[i].name); };
  std::vector<Label> labels;
  labels.reserve(items.size());
  for (LabelledItem& item : items) labels.push_back(std::move(item.label));
  settle_labels(labels, place, notes);
  for (size_t i = 0; i < items.size(); ++i) items[i].label = std::move(labels[i]);
}

std::string missing_labels(const std::string& where, size_t missing, size_t pictures,
                           const std::string& first, std::string_view listed) {
  std::string text = where + " has no label for ";
  if (missing == 1)
    text += quoted_name(first) + " (1 of " + with_commas(pictures) + " pictures)";
  else
    text += (missing == pictures ? "any of " : with_commas(missing) + " of ") +
            with_commas(pictures) + " pictures, the first is " + quoted_name(first);
  if (!listed.empty()) text += " (it has names such as " + quoted_name(listed) + ")";
  return text;
}

std::string LabelForm::problem_of(const Label& label) {
  const Kind kind = label.is_array() ? Kind::vectors : Kind::classes;
  if (kind_ != Kind::unknown && kind != kind_)
    return "a label of another kind than the images before it";
  const bool first = kind_ == Kind::unknown;
  kind_ = kind;
  if (kind == Kind::classes) {
    // Files give unsigned numbers, folders signed ones.
    const bool fits = label.is_number_unsigned()
                          ? label.get<uint64_t>() < uint64_t{most_classes}
                          : label.is_number_integer() && label.get<int64_t>() >= 0 &&
                                label.get<int64_t>() < most_classes;
    if (!fits)
      return "the class " + label.dump() + "; classes count from 0 to " +
             std::to_string(most_classes - 1);
    dim_ = std::max(dim_, label.get<int64_t>() + 1);
    return "";
  }
  const auto length = static_cast<int64_t>(label.size());
  if (!first && length != dim_) return "a label of another length than the images before it";
  dim_ = length;
  for (const auto& value : label)
    if (!std::isfinite(value.get<float>()))
      return "the number " + value.dump() + ", which is infinite as float32";
  return "";
}

void LabelTable::add(const Label& label, const std::string& subject) {
  if (const std::string problem = form.problem_of(label); !problem.empty())
    throw Error(subject + problem);
  if (!label.is_array()) {
    classes.push_back(label.get<int64_t>());
    return;
  }
  for (const auto& value : label) values.push_back(value.get<float>());
}

}  // namespace edm2
