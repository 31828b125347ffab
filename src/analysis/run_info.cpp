// Folders of training runs, and what names of network files tell.
#include <algorithm>
#include <fstream>
#include <regex>
#include <set>

#include "analysis/info_parts.h"
#include "edm2/io/atomic_file.h"
#include "io/system_files.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

struct SnapshotFileName {
  std::string prefix;
  int64_t kimg = 0;
  double std = 0;
};

// PREFIX-KIMG-STD.pkl
std::optional<SnapshotFileName> parse_name(const std::string& file_name) {
  static const std::regex pattern(R"((.*)-(\d{1,15})-(\d+\.\d+)\.(pkl|safetensors|pt|pth))");
  std::smatch match;
  if (file_name.size() > 1000 || !std::regex_match(file_name, match, pattern)) return std::nullopt;
  return SnapshotFileName{match[1], std::stoll(match[2]), std::stod(match[3])};
}

std::optional<int64_t> parse_state_name(const std::string& file_name) {
  static const std::regex pattern(R"(training-state-(\d{1,15})\.pt)");
  std::smatch match;
  if (file_name.size() > 1000 || !std::regex_match(file_name, match, pattern)) return std::nullopt;
  return std::stoll(match[1]);
}

// Training goes in steps of 1024 images, names count in thousands, rounded down.
int64_t nimg_of(int64_t kimg) { return (kimg * 1000 + 999) / 1024 * 1024; }

std::vector<std::string> file_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error);
       !error && entry != fs::directory_iterator(); entry.increment(error))
    if (std::error_code ignored;
        entry->is_regular_file(ignored) && !is_system_file(entry->path().filename().string()))
      names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The last line of a file that may be long. Python writes NaN, which is no JSON.
InfoJson last_status(const fs::path& path) {
  constexpr std::streamoff longest = 65536;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? std::streamoff(file.tellg()) : 0;
  if (size <= 0) return nullptr;
  file.seekg(std::max<std::streamoff>(0, size - longest));
  std::string text(std::istreambuf_iterator<char>(file), {});
  while (!text.empty() && text.back() == '\n') text.pop_back();
  text.erase(0, text.rfind('\n') + 1);  // npos + 1 = 0
  for (size_t at = text.find(": NaN"); at != std::string::npos; at = text.find(": NaN", at))
    text.replace(at, 5, ": null");
  return json_or_null(text);
}

void add_snapshots(InfoJson& info, const std::vector<std::string>& names) {
  std::set<std::string> prefixes;
  std::set<int64_t> times;
  std::set<double> stds;
  int64_t count = 0;
  for (const std::string& name : names) {
    const auto parsed = parse_name(name);
    if (!parsed) continue;
    ++count;
    prefixes.insert(parsed->prefix);
    times.insert(parsed->kimg);
    stds.insert(parsed->std);
  }
  if (count == 0) return;
  InfoJson& snapshots = info["snapshots"];
  snapshots["files"] = count;
  snapshots["prefixes"] = prefixes;
  snapshots["times"] = times.size();
  snapshots["kimg"] = {*times.begin(), *times.rbegin()};
  snapshots["ema_stds"] = stds;
}

}  // namespace

void add_name(InfoJson& info, const fs::path& path) {
  const auto name = parse_name(path.filename().string());
  if (!name) return;
  InfoJson& trained = info["training"];
  trained["images"] = nimg_of(name->kimg);
  trained["ema_std"] = name->std;
}

bool is_run_folder(const fs::path& path) {
  if (fs::exists(path / "training_options.json")) return true;
  const auto names = file_names(path);
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return parse_name(name) || parse_state_name(name);
  });
}

void add_run(InfoJson& info, const fs::path& path) {
  const auto names = file_names(path);
  std::optional<int64_t> newest;
  int64_t states = 0;
  for (const std::string& name : names)
    if (const auto kimg = parse_state_name(name)) {
      ++states;
      newest = std::max(newest.value_or(0), *kimg);
    }
  const fs::path options_file = path / "training_options.json";
  const bool has_options = fs::exists(options_file);
  info["kind"] = has_options || newest ? "training run" : "folder of snapshots";
  InfoJson options;
  if (has_options) options = json_or_null(read_text_file(options_file));
  InfoJson status = last_status(path / "stats.jsonl");
  if (status.is_object() && status.contains("Progress/kimg") && options.is_object() &&
      options.contains("total_nimg") && options["total_nimg"].is_number() &&
      status["Progress/kimg"].is_number()) {
    info["images"] = std::llround(status["Progress/kimg"].get<double>() * 1000);
    // The newest start of a run may have another duration than the first, whose options these are.
    const auto total = status.find("Progress/total_kimg");
    if (total != status.end() && total->is_number())
      info["images_wanted"] = std::llround(total->get<double>() * 1000);
    else
      info["images_wanted"] = options["total_nimg"];
  }
  if (newest) info["training_states"] = {{"files", states}, {"newest_kimg", *newest}};
  add_snapshots(info, names);
  if (status.is_object()) info["last_status"] = std::move(status);
  if (options.is_object()) info["options"] = std::move(options);
}

}  // namespace edm2
