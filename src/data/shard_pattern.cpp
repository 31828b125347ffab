// Patterns of file names, as WebDataset reads them with the braceexpand package.
#include <glob.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "data/picture_source.h"
#include "edm2/core/error.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr int64_t most_shards = 1'000'000;

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + separator.size();
  }
}

std::optional<int64_t> whole_number(std::string_view text) {
  constexpr size_t longest = 15;  // digits; sums stay within 64 bits
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.size() > longest || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

/// From `first` to `last`, up or down, whatever the sign of the step.
std::vector<int64_t> range(int64_t first, int64_t last, int64_t step, const std::string& text) {
  const int64_t stride = step == 0 ? 1 : std::abs(step);
  const int64_t count = std::abs(last - first) / stride + 1;
  if (count > most_shards) throw Error("'{" + text + "}' stands for too many files");
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i)
    numbers.push_back(first + (first <= last ? i * stride : -i * stride));
  return numbers;
}

/// "7" as "007", "-7" as "-07".
std::string padded(int64_t number, size_t width) {
  const std::string digits = std::to_string(std::abs(number)), sign = number < 0 ? "-" : "";
  const size_t length = digits.size() + sign.size();
  return sign + std::string(width > length ? width - length : 0, '0') + digits;
}

bool is_padded(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0';
}

/// What "0..12", "000..099..3", "9..0" or "a..e" stands for; nothing for other texts.
std::optional<std::vector<std::string>> members_of_range(const std::string& text) {
  const auto parts = split(text, "..");
  if (parts.size() != 2 && parts.size() != 3) return std::nullopt;
  const auto step = parts.size() == 3 ? whole_number(parts[2]) : 1;
  if (!step) return std::nullopt;
  std::vector<std::string> members;
  const auto first = whole_number(parts[0]), last = whole_number(parts[1]);
  if (first && last) {
    const bool pad = is_padded(parts[0]) || is_padded(parts[1]);
    const size_t width = pad ? std::max(parts[0].size(), parts[1].size()) : 0;
    for (const int64_t number : range(*first, *last, *step, text))
      members.push_back(padded(number, width));
    return members;
  }
  const auto is_letter = [](std::string_view part) {
    return part.size() == 1 &&
           ((part[0] >= 'a' && part[0] <= 'z') || (part[0] >= 'A' && part[0] <= 'Z'));
  };
  if (!is_letter(parts[0]) || !is_letter(parts[1])) return std::nullopt;
  for (const int64_t code : range(parts[0][0], parts[1][0], *step, text))
    members.emplace_back(1, static_cast<char>(code));
  return members;
}

std::vector<std::string> alternatives(const std::string& text) {
  if (auto members = members_of_range(text)) return *std::move(members);
  const auto parts = split(text, ",");
  return {parts.begin(), parts.end()};
}

std::vector<std::string> expand_braces(const std::string& pattern) {
  const size_t open = pattern.find('{'), close = pattern.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {pattern};
  std::vector<std::string> result;
  const auto rests = expand_braces(pattern.substr(close + 1));
  const auto parts = alternatives(pattern.substr(open + 1, close - open - 1));
  if (rests.size() * parts.size() > static_cast<size_t>(most_shards))
    throw Error("'" + pattern + "' stands for too many files");
  for (const std::string& part : parts)
    for (const std::string& rest : rests) result.push_back(pattern.substr(0, open) + part + rest);
  std::sort(result.begin(), result.end());
  return result;
}

bool has_wildcards(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos;
}

}  // namespace

bool is_pattern(const std::string& text) {
  return has_wildcards(text) || text.find("::") != std::string::npos ||
         (text.find('{') != std::string::npos && text.find('}') != std::string::npos);
}

std::vector<std::string> expand_pattern(const std::string& text) {
  std::vector<std::string> paths;
  for (const std::string_view pattern : split(text, "::"))
    for (const std::string& path : expand_braces(std::string(pattern))) {
      if (!has_wildcards(path)) {
        if (!fs::is_regular_file(path)) throw Error("Missing input file or directory: " + path);
        paths.push_back(path);
        continue;
      }
      glob_t found = {};
      if (glob(path.c_str(), 0, nullptr, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
      globfree(&found);
    }
  if (paths.empty()) throw Error("Missing input file or directory: nothing fits " + text);
  return paths;
}

}  // namespace edm2
