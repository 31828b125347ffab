/// What systems and programs leave among people's files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace edm2 {

/// Whether a path relative to a folder or archive ('/' or '\\' between its parts) is such a file or
/// lies in such a folder: hidden ones ('.' in front: "._1.png", ".DS_Store", ".ipynb_checkpoints",
/// ".cache"), "__MACOSX", "Thumbs.db", "desktop.ini", "$RECYCLE.BIN", "found.000", "#recycle",
/// "@eaDir", "X Previews.lrdata" and their kin. They are never data.
bool is_system_file(std::string_view relative_path);

/// Takes such names out of the list, and returns them in their order.
std::vector<std::string> take_system_files(std::vector<std::string>& names);

/// "passed over 1 ONE: 'a'", "passed over 12 SEVERAL, such as 'a'"; "" for no names.
std::string passed_over_note(const std::vector<std::string>& names, const std::string& one,
                             const std::string& several);

/// "passed over 12 files that systems leave behind, such as '__MACOSX/._1.png'"; "" for none.
std::string system_files_note(const std::vector<std::string>& left_out);

}  // namespace edm2
