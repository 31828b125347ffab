#include "edm2/ema/snapshot_name.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>

#include "edm2/core/error.h"
#include "io/system_files.h"

namespace edm2 {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The part behind the last '-' (without it), which is taken off `text`.
std::optional<std::string> take_last_part(std::string& text) {
  const size_t dash = text.rfind('-');
  if (dash == std::string::npos) return std::nullopt;
  std::string part = text.substr(dash + 1);
  text.erase(dash);
  return part;
}

template <class T>
std::optional<T> parse_number(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int64_t thousandths(double std) { return std::llround(1000 * std); }

bool passes(const SnapshotName& name, const SnapshotFilter& filter) {
  if (filter.prefix && name.prefix != *filter.prefix) return false;
  return filter.stds.empty() ||
         std::any_of(filter.stds.begin(), filter.stds.end(),
                     [&](double std) { return thousandths(std) == thousandths(name.std); });
}

}  // namespace

int64_t nimg_from_kimg(int64_t kimg) {
  constexpr int64_t largest = int64_t{1} << 50;
  const int64_t nimg = kimg < 0 || kimg > largest ? -1 : (kimg * 1000 + 999) / 1024 * 1024;
  if (nimg < 0 || kimg_from_nimg(nimg) != kimg)
    throw Error("no snapshot can be from " + std::to_string(kimg) +
                " kimg: training times are multiples of 1024 images");
  return nimg;
}

std::string SnapshotName::file_name() const {
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, "-%07lld-%.3f", static_cast<long long>(kimg), std);
  return prefix + numbers + (format == SnapshotFormat::pickle ? ".pkl" : ".safetensors");
}

std::optional<SnapshotName> parse_snapshot_name(const std::string& file_name) {
  SnapshotName name;
  name.prefix = file_name;
  if (name.prefix.ends_with(".safetensors")) {
    name.format = SnapshotFormat::safetensors;
    name.prefix.erase(name.prefix.size() - 12);
  } else if (name.prefix.ends_with(".pkl")) {
    name.prefix.erase(name.prefix.size() - 4);
  } else {
    return std::nullopt;
  }
  const auto std_text = take_last_part(name.prefix), kimg_text = take_last_part(name.prefix);
  if (!std_text || !kimg_text || !all_digits(*kimg_text)) return std::nullopt;
  const size_t point = std_text->find('.');
  if (point == std::string::npos || !all_digits(std_text->substr(0, point)) ||
      !all_digits(std_text->substr(point + 1)))
    return std::nullopt;
  const auto kimg = parse_number<int64_t>(*kimg_text);
  const auto std = parse_number<double>(*std_text);
  if (!kimg || !std) return std::nullopt;
  name.kimg = *kimg;
  name.std = *std;
  return name;
}

SnapshotList select_snapshots(const std::vector<std::string>& file_names,
                              const SnapshotFilter& filter) {
  SnapshotList list;
  std::set<std::string> prefixes;
  std::vector<std::string> leftovers;
  for (const std::string& file_name : file_names) {
    const auto name = parse_snapshot_name(file_name);
    if (name && is_system_file(file_name)) leftovers.push_back(file_name);
    if (!name || is_system_file(file_name) || !passes(*name, filter)) continue;
    if (!(name->std > 0 && name->std < 0.289)) {
      list.notes.push_back("Note: leaving out " + file_name +
                           ", as no EMA has that relative width");
      continue;
    }
    try {
      list.files.push_back({file_name, *name, nimg_from_kimg(name->kimg)});
      prefixes.insert(name->prefix);
    } catch (const Error& error) {
      list.notes.push_back("Note: leaving out " + file_name + ", as " + error.what());
    }
  }
  std::sort(leftovers.begin(), leftovers.end());
  if (const std::string note = system_files_note(leftovers); !note.empty())
    list.notes.push_back("Note: " + note);
  const auto key = [](const SnapshotFile& file) {
    return std::tuple(file.nimg, file.name.std, file.file_name);
  };
  std::sort(list.files.begin(), list.files.end(),
            [&](const auto& a, const auto& b) { return key(a) < key(b); });
  if (prefixes.size() > 1) {
    std::string note = "Warning: the snapshots have different prefixes (";
    for (const std::string& prefix : prefixes)
      note += (prefix == *prefixes.begin() ? "'" : ", '") + prefix + "'";
    list.notes.push_back(note + "); all of them are used, choose one with --inprefix");
  }
  return list;
}

std::vector<std::string> list_folder(const std::filesystem::path& folder) {
  std::error_code failed;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) names.push_back(entry->path().filename().string());
  }
  if (failed) throw Error("cannot read the folder " + folder.string() + ": " + failed.message());
  return names;
}

void check_no_duplicates(const std::vector<SnapshotFile>& files) {
  for (size_t i = 1; i < files.size(); ++i)
    if (files[i].profile() == files[i - 1].profile())
      throw Error(files[i - 1].file_name + " and " + files[i].file_name +
                  " are of the same training time and EMA length; choose one of them, by "
                  "--inprefix or by moving the other away");
}

}  // namespace edm2
