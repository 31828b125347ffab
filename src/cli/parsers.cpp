#include "cli/parsers.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <regex>

#include "edm2/core/error.h"
#include "edm2/core/words.h"

namespace edm2::cli {
namespace {

// More is a slip of the finger, and would fill the memory before anything could complain.
constexpr int64_t longest_list = 100'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string trim(const std::string& text) {
  const char* blanks = " \t\n\r\f\v";
  const size_t first = text.find_first_not_of(blanks);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// Without the underscores that Python allows between digits; none if one stands elsewhere.
std::optional<std::string> without_underscores(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      result += text[i];
    } else if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return result;
}

[[noreturn]] void not_valid(const std::string& text, const std::string& kind) {
  throw UsageError("'" + text + "' is not a valid " + kind + ".");
}

template <class T>
T checked(T value, const NumberRange<T>& range) {
  range.check(value);
  return value;
}

}  // namespace

int64_t parse_int(const std::string& text, const IntRange& range) {
  const auto digits = without_underscores(trim(text));
  if (!digits) not_valid(text, "integer");
  const char* first = digits->data();
  const char* last = first + digits->size();
  // from_chars knows '-' but not '+'.
  if (digits->size() > 1 && *first == '+' && is_digit(first[1])) ++first;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(first, last, value);
  if (end != last || error == std::errc::invalid_argument) not_valid(text, "integer");
  if (error == std::errc::result_out_of_range)
    throw UsageError("'" + text + "' does not fit into 64 bits.");
  return checked(value, range);
}

double parse_float(const std::string& text, const FloatRange& range) {
  const auto number = without_underscores(trim(text));
  if (!number) not_valid(text, "float");
  const char* first = number->data();
  const char* last = first + number->size();
  if (number->size() > 1 && *first == '+' && first[1] != '-') ++first;
  double value = 0;
  const auto [end, error] = std::from_chars(first, last, value);
  // "nan(...)" is C, but not Python.
  if (end != last || error == std::errc::invalid_argument || number->ends_with(')'))
    not_valid(text, "float");
  if (error == std::errc::result_out_of_range) value = std::strtod(first, nullptr);  // 0 or inf
  return checked(value, range);
}

std::string parse_word(const std::string& text, const std::vector<std::string>& words) {
  if (std::find(words.begin(), words.end(), text) != words.end()) return text;
  throw UsageError("'" + text + "' is not one of '" + join(words, "', '") + "'.");
}

bool parse_bool(const std::string& text) {
  std::string word = trim(text);
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* yes : {"1", "true", "t", "yes", "y", "on"})
    if (word == yes) return true;
  for (const char* no : {"0", "false", "f", "no", "n", "off"})
    if (word == no) return false;
  not_valid(text, "boolean");
}

int64_t parse_nimg(const std::string& text, const IntRange& range) {
  int shift = 0;
  if (text.ends_with("Ki")) shift = 10;
  if (text.ends_with("Mi")) shift = 20;
  if (text.ends_with("Gi")) shift = 30;
  const std::string digits = shift > 0 ? text.substr(0, text.size() - 2) : text;
  int64_t count = 0;
  try {
    count = parse_int(digits);
  } catch (const UsageError&) {
    throw UsageError("'" + text + "' is not a number of images such as 1000, 64Ki, 8Mi or 1Gi.");
  }
  int64_t value = 0;
  if (__builtin_mul_overflow(count, int64_t{1} << shift, &value))
    throw UsageError("'" + text + "' does not fit into 64 bits.");
  return checked(value, range);
}

double parse_duration(const std::string& text) {
  static const std::regex units(R"((?:(\d+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?)");
  static const std::regex clock(R"((?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d))");
  const std::string word = trim(text);
  std::smatch parts;
  double seconds = 0;
  if (!word.empty() &&
      (std::regex_match(word, parts, units) || std::regex_match(word, parts, clock)))
    for (const size_t i : {1, 2, 3, 4}) {
      const double seconds_of[] = {0, 86400, 3600, 60, 1};
      if (parts[i].matched) seconds += parse_float(parts[i]) * seconds_of[i];
    }
  if (!(seconds > 0 && seconds < 1e10))
    throw UsageError("'" + text + "' is not a time such as 90s, 3h50m, 1d12h or 03:50:00.");
  return seconds;
}

namespace {
/// A single number of a list that may have ranges, too.
int64_t parse_item(const std::string& item) {
  try {
    return parse_int(item);
  } catch (const UsageError& error) {
    if (!std::string(error.what()).ends_with("is not a valid integer.")) throw;
    throw UsageError("'" + item + "' is not a valid integer, nor a range such as 5-10.");
  }
}
}  // namespace

std::vector<int64_t> parse_int_list(const std::string& text) {
  std::vector<int64_t> values;
  for (const std::string& item : split(text, ',')) {
    const size_t dash = item.find('-', 1);
    const bool is_range = dash != std::string::npos && dash + 1 < item.size() &&
                          std::all_of(item.begin(), item.begin() + dash, is_digit) &&
                          std::all_of(item.begin() + dash + 1, item.end(), is_digit);
    if (!is_range) {
      values.push_back(parse_item(item));
      continue;
    }
    const int64_t first = parse_int(item.substr(0, dash));
    const int64_t last = parse_int(item.substr(dash + 1));
    if (last < first)
      throw UsageError("'" + item + "' is a range without values; write '" + std::to_string(last) +
                       "-" + std::to_string(first) + "'.");
    if (last - first >= longest_list)
      throw UsageError("'" + item + "' has more than " + std::to_string(longest_list) + " values.");
    for (int64_t value = first; value <= last; ++value) values.push_back(value);
    if (static_cast<int64_t>(values.size()) > longest_list)
      throw UsageError("the list has more than " + std::to_string(longest_list) + " values.");
  }
  return values;
}

std::vector<int64_t> parse_ints(const std::string& text, const IntRange& range) {
  std::vector<int64_t> values;
  for (const std::string& part : split(text, ',')) values.push_back(parse_int(part, range));
  return values;
}

std::vector<double> parse_floats(const std::string& text, const FloatRange& range) {
  std::vector<double> values;
  for (const std::string& part : split(text, ',')) values.push_back(parse_float(part, range));
  return values;
}

namespace {

// The values that `...` at index i stands for; none in `literals` marks a `...`.
std::vector<double> fill_interval(const std::vector<std::optional<double>>& literals, size_t i) {
  if (i < 2 || !literals[i - 2] || !literals[i - 1])
    throw Error("'...' must be preceded by at least two floats");
  if (i + 1 >= literals.size() || !literals[i + 1])
    throw Error("'...' must be followed by at least one float");
  const double before = *literals[i - 2], start = *literals[i - 1], end = *literals[i + 1];
  const double step = start - before;
  if (step == 0) throw Error("The floats preceding '...' must not be equal");
  const double exact = (end - start) / step - 1;
  const double count = std::nearbyint(exact);
  if (count <= 0) throw Error("'...' must correspond to a non-empty interval");
  if (!(std::abs(count - exact) <= 1e-4))
    throw Error("'...' must correspond to an evenly spaced interval");
  if (count > 1e6) throw Error("'...' stands for more than a million values");
  std::vector<double> values;
  for (int j = 1; j <= static_cast<int>(count); ++j) values.push_back(start + step * j);
  return values;
}

}  // namespace

std::vector<double> parse_std_list(const std::string& text) {
  std::vector<std::optional<double>> literals;
  for (const std::string& part : split(text, ',')) {
    const bool is_interval = trim(part) == "...";
    literals.push_back(is_interval ? std::nullopt : std::optional(parse_float(part)));
  }
  std::vector<double> values;
  for (size_t i = 0; i < literals.size(); ++i) {
    if (literals[i]) {
      values.push_back(*literals[i]);
    } else {
      const auto filled = fill_interval(literals, i);
      values.insert(values.end(), filled.begin(), filled.end());
    }
  }
  for (const double value : values)
    if (!(value > 0 && value < 0.289))
      throw Error("Relative standard deviation must be positive and less than 0.289");
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

OptionValue parse_option_value(OptionType type, const std::string& text) {
  switch (type) {
    case OptionType::boolean:
      return parse_bool(text);
    case OptionType::integer:
      return parse_int(text);
    case OptionType::number:
      return parse_float(text);
    case OptionType::integers:
      return parse_int_list(text);
    case OptionType::numbers:
      return parse_floats(text);
    case OptionType::text:
      break;
  }
  return text;
}

}  // namespace edm2::cli
