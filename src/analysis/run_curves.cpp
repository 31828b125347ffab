#include "edm2/analysis/run_curves.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <sstream>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"
#include "io/foreign_content.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kimg_key = "Progress/kimg";

/// The numbers of a line; none if it is no status.
std::optional<std::map<std::string, double>> parse_line(const std::string& line) {
  nlohmann::json object;
  try {
    object = parse_json(without_python_numbers(line));
  } catch (const Error&) {
    return std::nullopt;
  }
  if (!object.is_object()) return std::nullopt;
  std::map<std::string, double> numbers;
  for (const auto& [key, value] : object.items())
    if (value.is_number()) numbers[key] = value.get<double>();
  if (!numbers.contains(kimg_key)) return std::nullopt;
  return numbers;
}

std::string run_name(const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  const fs::path folder = fs::is_directory(path) ? absolute : absolute.parent_path();
  return folder.has_filename() ? folder.filename().string()
                               : folder.parent_path().filename().string();
}

}  // namespace

std::vector<double> RunCurves::get(const std::string& key) const {
  const auto found = values.find(key);
  return found != values.end() ? found->second : std::vector<double>(kimg.size(), missing);
}

RunCurves read_run_curves(const fs::path& run) {
  const fs::path file = fs::is_directory(run) ? run / "stats.jsonl" : run;
  RunCurves curves;
  curves.name = run_name(run);
  std::vector<std::map<std::string, double>> lines;
  const std::string contents = read_text_file(file, size_t{1} << 30);
  std::istringstream text(contents);
  for (std::string line; std::getline(text, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto numbers = parse_line(line);
    if (!numbers) {
      curves.damaged_lines += 1;
      continue;
    }
    const double kimg = numbers->at(kimg_key);
    while (!lines.empty() && lines.back().at(kimg_key) >= kimg) lines.pop_back();
    lines.push_back(std::move(*numbers));
  }
  if (lines.empty())
    throw Error("'" + file.string() + "' holds no status lines" +
                in_brackets(describe_content(std::as_bytes(std::span(contents)))) +
                "; is it the stats.jsonl of a run?");
  for (size_t i = 0; i < lines.size(); ++i) {
    curves.kimg.push_back(lines[i].at(kimg_key));
    for (const auto& [key, value] : lines[i]) {
      auto& series = curves.values[key];
      series.resize(lines.size(), missing);
      series[i] = value;
    }
  }
  return curves;
}

}  // namespace edm2
