#include "train/stats_file.h"

#include <cstdlib>
#include <limits>
#include <string>

#include "edm2/core/format_number.h"
#include "edm2/io/atomic_file.h"

namespace edm2 {
namespace {

/// Value of Progress/kimg; infinite for a line without it. Not by a JSON parser, for NaN stands
/// in these lines.
double kimg_of(const std::string& line) {
  constexpr std::string_view key = "\"Progress/kimg\":";
  const size_t at = line.find(key);
  if (at == std::string::npos) return std::numeric_limits<double>::infinity();
  return std::strtod(line.c_str() + at + key.size(), nullptr);
}

/// As a line of the file says it: a float32 with three digits.
double printed_kimg(int64_t nimg) {
  const auto kimg = static_cast<float>(static_cast<double>(nimg) / 1e3);
  return std::strtod(format_number("%.3f", static_cast<double>(kimg)).c_str(), nullptr);
}

}  // namespace

int64_t rewind_stats(const std::filesystem::path& file, int64_t cur_nimg) {
  if (!std::filesystem::exists(file)) return 0;
  const std::string text = read_text_file(file, size_t{4} << 30);
  const double now = printed_kimg(cur_nimg);
  std::string kept;
  int64_t dropped = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const bool whole = line.starts_with('{') && line.ends_with('}');
    const double kimg = kimg_of(line);
    if (whole && cur_nimg > 0 && kimg <= now)
      kept += line + '\n';
    else
      ++dropped;
  }
  if (kept != text) write_file(file, kept);
  return dropped;
}

}  // namespace edm2
