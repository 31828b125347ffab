#include "edm2/ema/run_source.h"

#include <charconv>
#include <system_error>

#include "edm2/core/error.h"
#include "edm2/io/source.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What stands behind the '@'.
std::optional<RunSource> parse_choice(std::string_view text) {
  RunSource source;
  constexpr std::string_view key = ",kimg=";
  if (const size_t comma = text.find(','); comma != std::string_view::npos) {
    const std::string_view rest = text.substr(comma);
    if (!rest.starts_with(key)) return std::nullopt;
    source.kimg = parse_whole<int64_t>(rest.substr(key.size()));
    if (!source.kimg || *source.kimg < 1) return std::nullopt;
    text = text.substr(0, comma);
  }
  const auto std = parse_whole<double>(text);
  if (!std) return std::nullopt;
  source.std = *std;
  return source;
}

}  // namespace

std::string RunSource::text() const {
  char number[32];
  const auto [end, error] = std::to_chars(number, number + sizeof number, std);
  std::string result = folder.string() + '@' + std::string(number, end);
  if (kimg) result += ",kimg=" + std::to_string(*kimg);
  return result;
}

std::optional<RunSource> parse_run_source(const std::string& text) {
  const size_t at = text.rfind('@');
  std::error_code ignored;
  if (at == std::string::npos || at == 0 || text.find("://") != std::string::npos ||
      fs::exists(text, ignored))
    return std::nullopt;
  const fs::path folder = text.substr(0, at);
  auto source = parse_choice(std::string_view(text).substr(at + 1));
  if (!source) {
    if (!fs::is_directory(folder, ignored)) return std::nullopt;
    throw Error("'" + text + "': behind the '@' an EMA length is expected, such as " +
                folder.string() + "@0.135 or " + folder.string() + "@0.135,kimg=8388");
  }
  if (!(source->std > 0 && source->std < 0.289))
    throw Error("'" + text + "': the EMA length must be positive and less than 0.289");
  source->folder = folder;
  return source;
}

}  // namespace edm2
