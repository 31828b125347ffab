#include "data/name_match.h"

#include <algorithm>
#include <cstdio>
#include <unordered_map>
#include <unordered_set>

#include "data/name_text.h"
#include "edm2/data/file_source.h"
#include "io/code_pages.h"

namespace edm2 {
namespace {

using Names = std::vector<std::string>;
constexpr size_t none = NameMatch::none;

/// "a\\.\\b//c" -> "a/b/c".
std::string tidy(std::string_view name) {
  std::string result;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find_first_of("/\\", begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (!part.empty() && part != ".") {
      if (!result.empty()) result += '/';
      result += part;
    }
    begin = end + 1;
  }
  return result;
}

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('/') + 1); }

/// Without the extension, if it is one of pictures or latents.
std::string stem(const std::string& name) {
  const std::string extension = lower_extension(name);
  if (extension.empty() || (extension != ".npy" && !has_image_extension(name))) return name;
  return name.substr(0, name.size() - extension.size());
}

/// Text that was written in one encoding and read in another.
struct Misreading {
  std::optional<CodePage> written;  // nothing: UTF-8
  CodePage read;
};
constexpr Misreading misreadings[] = {
    {std::nullopt, CodePage::ibm437},         {std::nullopt, CodePage::ibm850},
    {std::nullopt, CodePage::windows1252},    {CodePage::windows1252, CodePage::ibm437},
    {CodePage::ibm850, CodePage::ibm437},     {CodePage::ibm850, CodePage::windows1252},
    {CodePage::ibm437, CodePage::windows1252}};

std::string misread(const std::string& name, const Misreading& how) {
  if (is_ascii_text(name)) return name;
  const auto bytes = how.written ? to_code_page(name, *how.written) : std::optional(name);
  return bytes ? composed_text(from_code_page(*bytes, how.read)) : name;
}

/// In which respects names are taken for equal, beside tidying and Unicode's forms.
struct Tolerance {
  bool any_case = false, any_extension = false;
  const Misreading* misread_pictures = nullptr;
  const Misreading* misread_list = nullptr;
};

std::string key_of(std::string name, const Tolerance& tolerance, const Misreading* misreading) {
  if (misreading) name = misread(name, *misreading);
  if (tolerance.any_extension) name = stem(name);
  return tolerance.any_case ? caseless_text(name) : name;
}

/// Leading folders of which each is in front of the next: "a", "a/b" of "a/b/c".
Names folders_in_front(std::string_view name) {
  constexpr size_t most = 16;
  Names folders;
  for (size_t slash = name.find('/'); slash != std::string_view::npos && folders.size() < most;
       slash = name.find('/', slash + 1))
    folders.emplace_back(name.substr(0, slash));
  return folders;
}

/// Pictures and entries that the exact pass has left, in one way of comparing them.
class Comparison {
 public:
  Comparison(const Names& pictures, const Names& listed, const Tolerance& tolerance,
             const std::function<bool(size_t, size_t)>& same)
      : same_(same) {
    for (const std::string& name : pictures)
      pictures_.push_back(key_of(name, tolerance, tolerance.misread_pictures));
    for (const std::string& name : listed)
      listed_.push_back(key_of(name, tolerance, tolerance.misread_list));
    index_.reserve(listed_.size());
    for (size_t i = 0; i < listed_.size(); ++i) {
      const auto [place, added] = index_.emplace(listed_[i], Found{i});
      if (added) continue;
      if (place->second.other == none && !same_(place->second.entry, i))
        place->second.other = place->second.entry;
      place->second.entry = i;
    }
  }

  struct Found {
    size_t entry = none;
    size_t other = none;  // contradicts it
  };
  struct Result {
    std::vector<Found> found;  // per picture
    size_t missing = SIZE_MAX;
    bool contradicts = false;
  };

  /// `key(i)` is what picture i may be called in the list, if anything. Gives up once more than
  /// `most_missing` are missing, or where two pictures share an entry.
  template <class Key>
  std::optional<Result> look_up(size_t most_missing, const Key& key) const {
    Result result{std::vector<Found>(pictures_.size()), 0, false};
    std::vector<bool> used(listed_.size());
    for (size_t i = 0; i < pictures_.size(); ++i) {
      const std::optional<std::string_view> name = key(i);
      const auto found = name ? index_.find(*name) : index_.end();
      if (found == index_.end()) {
        if (++result.missing > most_missing) return std::nullopt;
        continue;
      }
      if (used[found->second.entry]) return std::nullopt;
      used[found->second.entry] = true;
      result.found[i] = found->second;
      result.contradicts = result.contradicts || found->second.other != none;
    }
    return result;
  }

  std::optional<Result> as_they_are(size_t most_missing) const {
    return look_up(most_missing,
                   [&](size_t i) { return std::optional<std::string_view>(pictures_[i]); });
  }
  /// The pictures lie in a folder that the list does not name.
  std::optional<Result> without_folder(size_t most_missing, const std::string& folder) const {
    return look_up(most_missing, [&](size_t i) -> std::optional<std::string_view> {
      const std::string_view name = pictures_[i];
      if (!name.starts_with(folder + '/')) return std::nullopt;
      return name.substr(folder.size() + 1);
    });
  }
  /// The list names a folder in which the pictures do not lie.
  std::optional<Result> with_folder(size_t most_missing, const std::string& folder) const {
    std::string name;
    return look_up(most_missing, [&](size_t i) {
      name = folder + '/' + pictures_[i];
      return std::optional<std::string_view>(name);
    });
  }
  /// Names without a folder stand for files that are called so in any folder.
  std::optional<Result> by_file_name(size_t most_missing) const {
    std::unordered_map<std::string_view, int> count;
    for (const std::string& name : pictures_) ++count[last_part(name)];
    return look_up(most_missing, [&](size_t i) -> std::optional<std::string_view> {
      if (index_.contains(pictures_[i])) return pictures_[i];
      const std::string_view file = last_part(pictures_[i]);
      if (count.at(file) > 1) return std::nullopt;
      return file;
    });
  }

  /// Several pictures are one name in this way of comparing.
  bool merges_pictures() const {
    return std::unordered_set<std::string_view>(pictures_.begin(), pictures_.end()).size() <
           pictures_.size();
  }
  Names folders_of_pictures() const {
    Names folders = pictures_.empty() ? Names() : folders_in_front(pictures_.front());
    for (const std::string& name : pictures_)
      while (!folders.empty() && !name.starts_with(folders.back() + '/')) folders.pop_back();
    return folders;
  }
  /// Folders that the list names in front of some picture's name.
  Names folders_of_list() const {
    constexpr size_t most = 8, probes = 4;
    std::unordered_set<std::string> folders;
    for (size_t p = 0; p < std::min(probes, pictures_.size()); ++p) {
      const std::string end = '/' + pictures_[p * (pictures_.size() - 1) / probes];
      for (const std::string& name : listed_)
        if (folders.size() < most && name.ends_with(end))
          folders.insert(name.substr(0, name.size() - end.size()));
    }
    Names result(folders.begin(), folders.end());
    std::sort(result.begin(), result.end());
    return result;
  }

 private:
  const std::function<bool(size_t, size_t)>& same_;
  Names pictures_, listed_;
  std::unordered_map<std::string_view, Found> index_;
};

void append_part(std::string& text, const std::string& more) {
  text += (text.empty() ? "" : ", ") + more;
}

/// The search for the best way.
class Search {
 public:
  Search(NameMatch& match, std::span<const std::string_view> pictures,
         std::span<const std::string_view> listed, const std::function<bool(size_t, size_t)>& same)
      : match_(match), same_([&](size_t a, size_t b) { return same(entries_[a], entries_[b]); }) {
    std::vector<bool> used(listed.size());
    for (size_t i = 0; i < pictures.size(); ++i) {
      if (match.entry_of[i] != none) {
        used[match.entry_of[i]] = true;
      } else {
        places_.push_back(i);
        pictures_.push_back(composed_text(tidy(pictures[i])));
      }
    }
    for (size_t i = 0; i < listed.size(); ++i)
      if (!used[i]) {
        entries_.push_back(i);
        listed_.push_back(composed_text(tidy(listed[i])));
      }
    best_.missing = pictures_.size();
  }

  void run() {
    const auto has_capitals = [](const Names& names) {
      return std::any_of(names.begin(), names.end(),
                         [](const std::string& name) { return caseless_text(name) != name; });
    };
    const auto has_letters = [](const Names& names) {
      return !std::all_of(names.begin(), names.end(), is_ascii_text);
    };
    const bool cases = has_capitals(pictures_) || has_capitals(listed_);
    try_all({}, "");
    if (cases) try_all({.any_case = true}, "capitals");
    try_all({.any_extension = true}, "another extension");
    if (has_letters(pictures_))
      for (const Misreading& how : misreadings)
        try_all({.misread_pictures = &how}, "another code page");
    if (has_letters(listed_))
      for (const Misreading& how : misreadings)
        try_all({.misread_list = &how}, "another code page");
    if (cases) try_all({.any_case = true, .any_extension = true}, "capitals and another extension");
  }

  /// Puts the best way into the match.
  void apply(std::span<const std::string_view> pictures, std::span<const std::string_view> listed) {
    if (best_.found.empty()) return;
    bool separators = false, forms = false;
    for (size_t i = 0; i < places_.size(); ++i) {
      const auto [entry, other] = best_.found[i];
      if (entry == none) continue;
      const size_t picture = places_[i];
      match_.entry_of[picture] = entries_[entry];
      if (other != none && !match_.contradiction)
        match_.contradiction = {entries_[other], entries_[entry]};
      ++match_.differing;
      if (match_.example == none) match_.example = picture;
      const std::string ours = tidy(pictures[picture]), theirs = tidy(listed[entries_[entry]]);
      separators = separators || ours != pictures[picture] || theirs != listed[entries_[entry]];
      forms = forms || (ours != theirs && pictures_[i] == listed_[entry]);
    }
    match_.missing = best_.missing;
    std::string difference;
    if (separators) append_part(difference, "'\\' or './'");
    if (forms) append_part(difference, "the Unicode form of letters");
    if (!folder_.empty()) append_part(difference, folder_);
    if (!tolerated_.empty()) append_part(difference, tolerated_);
    match_.difference = difference;
  }

 private:
  using Result = Comparison::Result;

  void take(std::optional<Result> result, const std::string& folder, const std::string& tolerated) {
    if (!result || result->missing > best_.missing || pictures_.size() == result->missing) return;
    if (result->missing == best_.missing && (!best_.contradicts || result->contradicts)) return;
    best_ = std::move(*result);
    folder_ = folder;
    tolerated_ = tolerated;
  }

  bool is_certain() const { return best_.missing == 0 && !best_.contradicts; }

  void try_all(const Tolerance& tolerance, const std::string& name) {
    if (is_certain()) return;
    const Comparison names(pictures_, listed_, tolerance, same_);
    if (names.merges_pictures()) return;  // too tolerant to be certain
    take(names.as_they_are(best_.missing), "", name);
    if (is_certain()) return;
    std::optional<Result> of_list;
    std::string folder_of_list;
    for (const std::string& folder : names.folders_of_list()) {
      auto result = names.with_folder(best_.missing, folder);
      if (!result) continue;
      if (of_list && of_list->missing == result->missing) {
        merge(*of_list, *result);
      } else if (!of_list || result->missing < of_list->missing) {
        of_list = std::move(result);
        folder_of_list = folder;
      }
    }
    take(std::move(of_list), "the folder " + quoted_name(folder_of_list) + " in front", name);
    for (const std::string& folder : names.folders_of_pictures())
      take(names.without_folder(best_.missing, folder), "the missing folder " + quoted_name(folder),
           name);
    if (!is_certain()) take(names.by_file_name(best_.missing), "the missing folders", name);
  }

  /// Two folders of the list hold all pictures: certain only if both say the same.
  void merge(Result& one, const Result& other) const {
    for (size_t i = 0; i < one.found.size(); ++i) {
      const size_t a = one.found[i].entry, b = other.found[i].entry;
      if (a == b || a == none || b == none || same_(a, b)) continue;
      one.found[i].other = b;
      one.contradicts = true;
    }
  }

  NameMatch& match_;
  std::function<bool(size_t, size_t)> same_;
  std::vector<size_t> places_, entries_;  // of what follows
  Names pictures_, listed_;
  Result best_;
  std::string folder_, tolerated_;
};

void match_exactly(NameMatch& match, std::span<const std::string_view> pictures,
                   std::span<const std::string_view> listed,
                   const std::function<bool(size_t, size_t)>& same) {
  match.entry_of.assign(pictures.size(), none);
  if (std::equal(pictures.begin(), pictures.end(), listed.begin(), listed.end())) {
    for (size_t i = 0; i < pictures.size(); ++i) match.entry_of[i] = i;
    return;  // the usual case
  }
  std::unordered_map<std::string_view, size_t> place_of;
  place_of.reserve(pictures.size());
  for (size_t i = 0; i < pictures.size(); ++i) place_of.emplace(pictures[i], i);
  for (size_t entry = 0; entry < listed.size(); ++entry) {
    const auto place = place_of.find(listed[entry]);
    if (place == place_of.end()) continue;
    size_t& found = match.entry_of[place->second];
    if (found != none && !match.contradiction && !same(found, entry))
      match.contradiction = {found, entry};
    found = entry;
  }
  // "./a.png" beside "a.png" is the same name.
  for (size_t entry = 0; entry < listed.size() && !match.contradiction; ++entry) {
    if (listed[entry].find_first_of("/\\") == std::string_view::npos) continue;
    const std::string name = tidy(listed[entry]);
    const auto place = name == listed[entry] ? place_of.end() : place_of.find(name);
    if (place == place_of.end()) continue;
    const size_t found = match.entry_of[place->second];
    if (found != none && !same(found, entry)) match.contradiction = {found, entry};
  }
}

}  // namespace

NameMatch match_names(std::span<const std::string_view> pictures,
                      std::span<const std::string_view> listed,
                      const std::function<bool(size_t, size_t)>& same) {
  NameMatch match;
  match_exactly(match, pictures, listed, same);
  const auto count_missing = [&] {
    const auto& found = match.entry_of;
    match.missing = static_cast<size_t>(std::count(found.begin(), found.end(), none));
    const auto first = std::find(found.begin(), found.end(), none);
    match.first_missing = first == found.end() ? none : static_cast<size_t>(first - found.begin());
  };
  count_missing();
  if (match.missing == 0 || listed.empty()) return match;
  Search search(match, pictures, listed, same);
  search.run();
  search.apply(pictures, listed);
  count_missing();
  return match;
}

void note_differing_names(const std::string& where, const NameMatch& match,
                          std::span<const std::string_view> pictures,
                          std::span<const std::string_view> listed,
                          std::vector<std::string>& notes) {
  if (match.differing == 0) return;
  notes.push_back("the names in " + where + " differ from those of the pictures (" +
                  match.difference + "); " + with_commas(match.differing) + " of " +
                  with_commas(pictures.size()) + " pictures were matched so, such as " +
                  quoted_name(pictures[match.example]) + " with " +
                  quoted_name(listed[match.entry_of[match.example]]));
}

}  // namespace edm2
