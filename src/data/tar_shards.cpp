// Datasets in tar shards, as the WebDataset library lays them out: the files of one sample follow
// each other and have the same name up to the first dot.
#include <glob.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <unordered_map>

#include "data/picture_source.h"
#include "edm2/core/error.h"
#include "edm2/io/json.h"
#include "edm2/io/tar.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t longest_label = 1 << 20;
constexpr uint64_t longest_file = uint64_t{4} << 30;

/// "a/0001" of "a/0001.seg.png".
std::string sample_key(const std::string& name) {
  const size_t slash = name.rfind('/');
  const size_t dot = name.find('.', slash == std::string::npos ? 0 : slash + 1);
  return name.substr(0, dot);
}

/// A class number, or nothing.
Label class_label(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return nullptr;
  return value;
}

/// The label itself, or an object that holds it.
Label json_label(const nlohmann::json& value) {
  if (value.is_number_integer() || value.is_array()) return value;
  if (value.is_object())
    for (const char* key : {"label", "cls", "class", "class_id", "class_label"})
      if (value.contains(key) && (value[key].is_number_integer() || value[key].is_array()))
        return value[key];
  return nullptr;
}

class TarShards : public PictureSource {
 public:
  TarShards(const std::vector<std::string>& paths, SourceContent content) {
    for (const std::string& path : paths) {
      shards_.push_back(std::make_unique<TarReader>(path));
      const std::string prefix =
          paths.size() == 1 ? "" : fs::path(path).filename().replace_extension().string() + "/";
      add_shard(shards_.size() - 1, prefix, content);
    }
  }
  std::string kind() const override { return "tar"; }
  std::vector<std::byte> read(size_t index) const override {
    const auto& [shard, entry] = places_.at(index);
    if (shards_[shard]->entries()[entry].size > longest_file)
      throw Error("'" + items_[index].name + "' is larger than 4 GiB");
    return shards_[shard]->read(entry);
  }
  std::optional<LabelList> label_list() const override {
    LabelList list;  // those of .cls and .json files, so that folders' names do not count
    for (const Item& item : items_)
      if (!item.label.is_null()) list.emplace_back(item.name, item.label);
    return list;
  }

 private:
  std::string text_of(size_t shard, size_t entry) const {
    const TarEntry& file = shards_[shard]->entries()[entry];
    if (file.size > longest_label)
      throw Error("'" + file.name + "' in '" + shards_[shard]->path().string() +
                  "' is too long for a label");
    const auto bytes = shards_[shard]->read(entry);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  Label label_of(size_t shard, size_t entry) const {
    const TarEntry& file = shards_[shard]->entries()[entry];
    const std::string text = text_of(shard, entry);
    Label label;
    try {
      if (file.name.ends_with(".cls")) {
        label = class_label(text);
      } else {
        label = json_label(parse_json(text));
        if (label.is_null()) return label;  // other notes on the picture
      }
    } catch (const Error& error) {
      throw Error("'" + file.name + "' in '" + shards_[shard]->path().string() +
                  "' is no label: " + error.what());
    }
    const bool numbers =
        !label.is_array() || (!label.empty() && std::all_of(label.begin(), label.end(),
                                                            [](auto& v) { return v.is_number(); }));
    if (label.is_null() || !numbers)
      throw Error("'" + file.name + "' in '" + shards_[shard]->path().string() +
                  "' holds neither a class number nor a list of numbers");
    return label;
  }

  void add_shard(size_t shard, const std::string& prefix, SourceContent content) {
    const auto& entries = shards_[shard]->entries();
    std::vector<std::string> names;
    for (const TarEntry& entry : entries) names.push_back(entry.name);
    std::vector<FileProblem> refused;
    refuse_hostile_names(names, refused);
    std::unordered_map<std::string, bool> is_refused;
    for (FileProblem& problem : refused) {
      is_refused[problem.name] = true;
      refused_.push_back({prefix + problem.name, std::move(problem.reason)});
    }
    std::unordered_map<std::string, size_t> item_of;  // by key
    for (size_t i = 0; i < entries.size(); ++i) {
      if (is_refused.contains(entries[i].name) || !is_wanted(entries[i].name, content)) continue;
      const auto [place, added] = item_of.emplace(sample_key(entries[i].name), items_.size());
      if (!added)
        throw Error("the sample '" + place->first + "' in '" + shards_[shard]->path().string() +
                    "' has two pictures");
      items_.push_back({prefix + entries[i].name, nullptr});
      places_.emplace_back(shard, i);
    }
    for (size_t i = 0; i < entries.size(); ++i) {
      const std::string& name = entries[i].name;
      const bool is_class = name.ends_with(".cls");
      if (!is_class && !name.ends_with(".json")) continue;
      const auto item = item_of.find(sample_key(name));
      if (item == item_of.end() || is_refused.contains(name)) continue;
      Label label = label_of(shard, i);
      if (is_class || items_[item->second].label.is_null())  // .cls wins
        items_[item->second].label = std::move(label);
    }
  }

  std::vector<std::unique_ptr<TarReader>> shards_;
  std::vector<std::pair<size_t, size_t>> places_;  // shard and entry of every item
};

constexpr long most_shards = 1'000'000;

/// The texts between the commas of "a,b", or the numbers of "000..099".
std::vector<std::string> alternatives(const std::string& text) {
  std::vector<std::string> result;
  long first = 0, last = 0;
  int first_end = 0, last_end = 0;
  const size_t dots = text.find("..");
  if (dots != std::string::npos &&
      std::sscanf(text.c_str(), "%ld..%n%ld%n", &first, &first_end, &last, &last_end) == 2 &&
      last_end == static_cast<int>(text.size()) && first >= 0 && first <= last) {
    if (last - first >= most_shards) throw Error("'{" + text + "}' stands for too many files");
    for (long number = first; number <= last; ++number) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%0*ld", static_cast<int>(dots), number);
      result.emplace_back(digits);
    }
    return result;
  }
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    result.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

std::vector<std::string> expand_braces(const std::string& pattern) {
  const size_t open = pattern.find('{'), close = pattern.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {pattern};
  std::vector<std::string> result;
  const auto rests = expand_braces(pattern.substr(close + 1));
  const auto parts = alternatives(pattern.substr(open + 1, close - open - 1));
  if (rests.size() * parts.size() > static_cast<size_t>(most_shards))
    throw Error("'" + pattern + "' stands for too many files");
  for (const std::string& rest : rests)
    for (const std::string& part : parts) result.push_back(pattern.substr(0, open) + part + rest);
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

bool is_pattern(const std::string& text) {
  return text.find_first_of("*?[") != std::string::npos ||
         (text.find('{') != std::string::npos && text.find('}') != std::string::npos);
}

std::vector<std::string> expand_pattern(const std::string& pattern) {
  std::vector<std::string> paths;
  for (const std::string& path : expand_braces(pattern)) {
    if (path.find_first_of("*?[") == std::string::npos) {
      if (!fs::is_regular_file(path)) throw Error("Missing input file or directory: " + path);
      paths.push_back(path);
      continue;
    }
    glob_t found = {};
    if (glob(path.c_str(), 0, nullptr, &found) == 0)
      for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
    globfree(&found);
  }
  if (paths.empty()) throw Error("Missing input file or directory: nothing fits " + pattern);
  return paths;
}

std::unique_ptr<PictureSource> open_tar_shards(const std::vector<std::string>& shards,
                                               SourceContent content) {
  return std::make_unique<TarShards>(shards, content);
}

}  // namespace edm2
