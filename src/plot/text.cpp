#include "plot/text.h"

#include <cstdint>

namespace edm2::plot {
namespace {

// Length of the UTF-8 character that begins at `at`, or 0.
size_t character_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  const size_t length = lead < 0x80       ? 1
                        : lead >> 5 == 6  ? 2
                        : lead >> 4 == 14 ? 3
                        : lead >> 3 == 30 ? 4
                                          : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if (byte(at + i) >> 6 != 2) return 0;
  uint32_t code = length == 1 ? lead : lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) code = code << 6 | (byte(at + i) & 0x3f);
  constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
  return length;
}

std::string clean(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text, at);
    if (length == 0) {
      result += '?';
      ++at;
    } else {
      if (length == 1 && (static_cast<uint8_t>(text[at]) < 32 || text[at] == 127))
        result += ' ';
      else
        result += text.substr(at, length);
      at += length;
    }
  }
  return result;
}

}  // namespace

std::vector<TextRun> parse_text(std::string_view text) {
  std::vector<TextRun> runs;
  const auto add = [&](std::string_view part, double size, double rise) {
    if (!part.empty()) runs.push_back({clean(part), size, rise});
  };
  while (!text.empty()) {
    const size_t up = text.find("^{"), down = text.find("_{");
    const size_t mark = std::min(up, down);
    const size_t close = mark == std::string_view::npos ? mark : text.find('}', mark);
    if (close == std::string_view::npos) {
      add(text, 1, 0);
      break;
    }
    add(text.substr(0, mark), 1, 0);
    add(text.substr(mark + 2, close - mark - 2), 0.72, mark == up ? 0.36 : -0.16);
    text.remove_prefix(close + 1);
  }
  return runs;
}

}  // namespace edm2::plot
