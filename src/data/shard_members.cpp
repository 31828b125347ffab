#include "data/shard_members.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_set>

#include "data/foreign_files.h"
#include "edm2/core/error.h"
#include "edm2/data/file_source.h"
#include "io/code_pages.h"
#include "io/system_files.h"

namespace edm2 {
namespace {

/// WebDataset's notes on a shard: a part of the path stands between double underscores
/// ("__meta__/preview.png"). That library passes over them, too.
bool is_meta_member(const std::string& name) {
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (part.size() > 4 && part.starts_with("__") && part.ends_with("__")) return true;
    begin = end + 1;
  }
  return false;
}

/// "seg.png" of "a/0001.seg.png", lower case.
std::string field_of_member(const std::string& name) {
  const size_t dot = sample_key(name).size();
  return dot < name.size() ? ascii_lower(name.substr(dot + 1)) : "";
}

/// The alternatives of --image-key, the preferred one first.
std::vector<std::string> wanted_keys(const std::string& text) {
  std::vector<std::string> keys;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(';', begin), text.size());
    std::string key = ascii_lower(text.substr(begin, end - begin));
    if (key.starts_with('.')) key.erase(0, 1);
    if (!key.empty()) keys.push_back(std::move(key));
    begin = end + 1;
  }
  return keys;
}

/// The place of the first key that fits, or the number of keys.
size_t fitting_key(const std::vector<std::string>& keys, const std::string& field) {
  size_t i = 0;
  while (i < keys.size() && field != keys[i] && !field.starts_with(keys[i] + ".")) ++i;
  return i;
}

std::string listed(const std::set<std::string>& fields) {
  std::string text;
  size_t left = fields.size();
  for (const std::string& field : fields) {
    text += "'" + field + "'";
    if (--left > 0) text += left == 1 ? " and " : ", ";
  }
  return text;
}

[[noreturn]] void refuse_several(const TarDirectory& directory, const std::string& key,
                                 const std::vector<size_t>& pictures, const std::string& where) {
  std::set<std::string> fields;
  for (const size_t i : pictures) fields.insert(field_of_member(directory.entries[i].name));
  const size_t count = pictures.size();
  throw Error("the sample '" + key + "' in '" + where + "' has " +
              (count == 2 ? "two" : std::to_string(count)) + " pictures (" + listed(fields) +
              "); choose one kind of them, as in --image-key=" + *fields.begin());
}

}  // namespace

std::string sample_key(const std::string& name) {
  const size_t slash = name.rfind('/');
  const size_t dot = name.find('.', slash == std::string::npos ? 0 : slash + 1);
  return name.substr(0, dot);
}

std::vector<std::string> ShardNotes::sentences() const {
  std::vector<std::string> result = {
      system_files_note(system_files),
      passed_over_note(meta, "note of WebDataset on a shard", "notes of WebDataset on shards"),
      passed_over_note(unusual, "member of a tar archive that is no file",
                       "members of tar archives that are no files"),
      passed_over_note(without_key, "sample without a picture of that key",
                       "samples without a picture of that key"),
      passed_over_note(labels_of_nothing, "label that belongs to no picture",
                       "labels that belong to no picture"),
      unread_pictures_note(unread_pictures)};
  std::erase(result, "");
  if (!behind_end.empty())
    result.push_back("something else follows behind the end of " +
                     (behind_end.size() == 1
                          ? "the archive '" + behind_end.front() + "' and is not read"
                          : std::to_string(behind_end.size()) +
                                " archives and is not read, the first is '" + behind_end.front() +
                                "'"));
  return result;
}

namespace {

/// All but what systems and WebDataset leave, which is noted.
std::vector<size_t> data_members(const TarDirectory& directory, const std::string& where,
                                 ShardNotes& notes) {
  std::vector<size_t> data;
  for (size_t i = 0; i < directory.entries.size(); ++i) {
    const std::string& name = directory.entries[i].name;
    if (is_system_file(name)) {
      notes.system_files.push_back(name);
    } else if (is_meta_member(name)) {
      notes.meta.push_back(name);
    } else {
      data.push_back(i);
      if (is_unread_picture(name)) notes.unread_pictures.push_back(name);
    }
  }
  if (directory.has_more_behind_end) notes.behind_end.push_back(where);
  for (const std::string& member : directory.left_out)
    if (!is_system_file(member)) notes.unusual.push_back(member);
  return data;
}

}  // namespace

ShardMembers sort_members(const TarDirectory& directory, const SourceOptions& options,
                          const std::string& where, ShardNotes& notes) {
  const auto& entries = directory.entries;
  const std::vector<size_t> data = data_members(directory, where, notes);
  std::vector<std::string> names;
  for (const size_t i : data) names.push_back(entries[i].name);
  ShardMembers members;
  refuse_hostile_names(names, members.refused);
  std::unordered_set<std::string> refused;
  for (const FileProblem& problem : members.refused) refused.insert(problem.name);

  const std::vector<std::string> keys = wanted_keys(options.image_key);
  std::vector<std::string> order;                                // of the samples
  std::unordered_map<std::string, std::vector<size_t>> samples;  // their pictures
  for (const size_t i : data) {
    const std::string& name = entries[i].name;
    if (refused.contains(name)) continue;
    const bool fits = keys.empty() || fitting_key(keys, field_of_member(name)) < keys.size();
    const bool other_kind = has_image_extension(name) || lower_extension(name) == ".npy";
    const bool picture = is_wanted(name, options.content) || (!keys.empty() && !other_kind);
    const bool unlike = !keys.empty() && !fits && is_wanted(name, options.content);
    if (!(fits && picture) && !unlike) {
      members.others.push_back(i);
      continue;
    }
    const auto [sample, added] = samples.try_emplace(sample_key(name));
    if (added) order.push_back(sample->first);
    if (fits) sample->second.push_back(i);
  }
  for (const std::string& key : order) {
    std::vector<size_t>& pictures = samples[key];
    const auto rank = [&](size_t i) { return fitting_key(keys, field_of_member(entries[i].name)); };
    std::stable_sort(pictures.begin(), pictures.end(),
                     [&](size_t a, size_t b) { return rank(a) < rank(b); });
    if (pictures.empty()) {
      notes.without_key.push_back(key);
      continue;
    }
    // The first of the keys that is there counts.
    while (pictures.size() > 1 && rank(pictures.back()) > rank(pictures.front()))
      pictures.pop_back();
    if (pictures.size() > 1) refuse_several(directory, key, pictures, where);
    members.pictures.push_back(pictures.front());
  }
  return members;
}

}  // namespace edm2
