#include "io/system_files.h"

#include <algorithm>
#include <iterator>

#include "io/code_pages.h"

namespace edm2 {
namespace {

using namespace std::string_view_literals;

// In lower case: Windows and macOS do not tell cases apart.
constexpr std::string_view system_names[] = {
    "#recycle"sv,
    "#snapshot"sv,
    "$recycle.bin"sv,
    "@eadir"sv,
    "@recently-snapshot"sv,
    "@recycle"sv,
    "@syno"sv,
    "@tmp"sv,
    "__macosx"sv,
    "desktop.ini"sv,
    "ehthumbs.db"sv,
    "ehthumbs_vista.db"sv,
    "icon\r"sv,
    "lost+found"sv,
    "network trash folder"sv,
    "resource.frk"sv,
    "system volume information"sv,
    "temporary items"sv,
    "thumbs.db"sv,
    "~snapshot"sv,
};

/// What Windows' chkdsk finds: "found.000".
bool is_chkdsk_folder(std::string_view lower) {
  return lower.size() == 9 && lower.starts_with("found."sv) &&
         lower.find_first_not_of("0123456789"sv, 6) == std::string_view::npos;
}

bool is_leftover(std::string_view part) {
  if (part.starts_with('.') && part != "."sv && part != ".."sv) return true;
  // Windows' bin until 2003. In small letters it may be what somebody sorts.
  if (part == "RECYCLER"sv) return true;
  const std::string lower = ascii_lower(part);
  return is_chkdsk_folder(lower) || lower.ends_with(".lrdata"sv) ||
         std::find(std::begin(system_names), std::end(system_names), lower) !=
             std::end(system_names);
}

}  // namespace

bool is_system_file(std::string_view relative_path) {
  for (size_t begin = 0; begin <= relative_path.size();) {
    const size_t end = std::min(relative_path.find_first_of("/\\", begin), relative_path.size());
    if (is_leftover(relative_path.substr(begin, end - begin))) return true;
    begin = end + 1;
  }
  return false;
}

std::vector<std::string> take_system_files(std::vector<std::string>& names) {
  const auto middle = std::stable_partition(
      names.begin(), names.end(), [](const std::string& name) { return !is_system_file(name); });
  std::vector<std::string> taken(std::make_move_iterator(middle),
                                 std::make_move_iterator(names.end()));
  names.erase(middle, names.end());
  return taken;
}

std::string passed_over_note(const std::vector<std::string>& names, const std::string& one,
                             const std::string& several) {
  if (names.empty()) return "";
  const std::string count = std::to_string(names.size());
  return "passed over " + count + " " +
         (names.size() == 1 ? one + ": '" : several + ", such as '") + names.front() + "'";
}

std::string system_files_note(const std::vector<std::string>& left_out) {
  return passed_over_note(left_out, "file that systems leave behind",
                          "files that systems leave behind");
}

}  // namespace edm2
