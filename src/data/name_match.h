/// Names in a list of labels, matched with names of pictures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace edm2 {

/// Which name of a list stands for each picture.
struct NameMatch {
  static constexpr size_t none = SIZE_MAX;

  std::vector<size_t> entry_of;  ///< per picture: a place in the list, or none
  size_t missing = 0;            ///< pictures without an entry
  size_t first_missing = none;   ///< the first of them
  /// Two entries for one picture that say different things; the second one is in entry_of.
  std::optional<std::pair<size_t, size_t>> contradiction = std::nullopt;
  /// In what the names differ from the pictures' ("'\\' between folders, another extension"), and
  /// for how many pictures; "" and 0 if all entries found have the very names.
  std::string difference = {};
  size_t differing = 0;
  size_t example = none;  ///< a picture whose entry has another name
};

/// Matches names exactly first. For what is left it tries what programs and systems make of names:
/// '\\' for '/' and "./", Unicode's composed and decomposed letters, a folder in front of all names
/// of the list or of all pictures, the file's name alone, capitals, another picture's extension or
/// none, a wrong code page. Names are taken for equal in such a way only if each picture so matched
/// has an entry of its own. The way that matches most pictures is taken, of equals the nearest one.
/// `same(a, b)`: two entries of one name say the same, so that either will do.
NameMatch match_names(std::span<const std::string_view> pictures,
                      std::span<const std::string_view> listed,
                      const std::function<bool(size_t, size_t)>& same);

/// Tells the user of entries whose names differ from the pictures', if there are any.
void note_differing_names(const std::string& where, const NameMatch& match,
                          std::span<const std::string_view> pictures,
                          std::span<const std::string_view> listed,
                          std::vector<std::string>& notes);

}  // namespace edm2
