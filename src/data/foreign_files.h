// What lies in folders and archives that people give as datasets, and is not read.
#pragma once

#include <string>
#include <vector>

namespace edm2 {

/// By its extension a picture of a kind that neither this program nor the original reads: "b.HEIC",
/// "c.svg", "d.CR2".
bool is_unread_picture(const std::string& name);
/// "3 files look like pictures of kinds that are not read, the first is 'b.HEIC'", of those among
/// the names; "" for none.
std::string unread_pictures_note(const std::vector<std::string>& names);

/// The end of the sentence "there are no pictures in PATH": what a folder or an archive with files
/// of these names holds instead, and what to do about it. "" if there is nothing to say.
std::string what_is_instead(const std::vector<std::string>& names, const std::string& path);

/// Takes the files out of the list that are second copies of others in it, by name and byte for
/// byte. Returns a note that says so; "" for none.
std::string take_copies(std::vector<std::string>& paths);

}  // namespace edm2
