// Which files of a folder or archive are the pictures that are to be measured.
#pragma once

#include <string>
#include <vector>

#include "edm2/data/dataset.h"

namespace edm2 {

/// Takes out of the names of a source's pictures, and notes in a sentence each,
///   - what 'edm2 generate' puts beside its pictures: sheets of several pictures, previews, strips
///     and animations. They are told by the text in them, or by name and size: beside pictures
///     named by their seeds, files of other names whose sides are those of a sheet of such
///     pictures;
///   - copies ("000001 (1).png", "000001 copy.png", "Copy of 000001.png") that equal the file
///     they are named after byte for byte.
std::vector<std::string> sift_pictures(const FileSource& source, std::vector<std::string>& names);

/// Looks at the headers of all items, before any long work. Throws Error if there are several
/// sizes, with their number and the first that differs. Formats whose headers are not understood
/// are left to the reader.
void check_sizes(const ImageDataset& dataset, const std::string& path);

}  // namespace edm2
