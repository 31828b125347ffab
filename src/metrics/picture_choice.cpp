#include "metrics/picture_choice.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "core/ordered_workers.h"
#include "data/copy_names.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/generate/generate.h"
#include "io/picture_header.h"

namespace edm2 {
namespace {

// ---- Names.

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// As image_file_name() makes them: at least six characters, with a minus in front for negative
/// seeds.
bool is_seed(std::string_view stem) {
  constexpr size_t shortest = 6;
  if (stem.size() < shortest) return false;
  return all_digits(stem.starts_with('-') ? stem.substr(1) : stem);
}
bool is_seed_picture(std::string_view path) {
  const std::string_view name = base_name(path);
  return name.ends_with(".png") && is_seed(name.substr(0, name.size() - 4));
}
/// As trajectory_file_name() makes them.
bool is_trajectory_name(std::string_view path) {
  const std::string_view name = base_name(path);
  for (const std::string_view ending : {"-steps.png", "-steps.webp"})
    if (name.ends_with(ending) && is_seed(name.substr(0, name.size() - ending.size()))) return true;
  return false;
}

// ---- Sheets, strips and animations.

std::optional<PictureHeader> header_of(const std::function<std::vector<std::byte>(size_t)>& read) {
  try {
    const auto bytes = read(picture_header_bytes);
    return header_may_follow(bytes) ? read_picture_header(read(longest_picture_header))
                                    : read_picture_header(bytes);
  } catch (const Error&) {  // told when the picture itself is read
    return std::nullopt;
  }
}

/// Sides of a sheet of pictures that are `cell` large: see ContactSheet.
bool is_sheet_of(const PictureHeader& sheet, const PictureHeader& cell) {
  constexpr int64_t gap = 2;
  return (sheet.width - gap) % (cell.width + gap) == 0 &&
         (sheet.height - gap) % (cell.height + gap) == 0;
}

/// Pictures of that size, or their latents as previews and stages show them: a pixel for 8x8.
bool is_made_of(const PictureHeader& file, const PictureHeader& picture) {
  constexpr int64_t downscale = 8, smallest_of_latents = 128;
  std::vector<PictureHeader> cells = {picture};
  if (picture.width >= smallest_of_latents && picture.width % downscale == 0 &&
      picture.height % downscale == 0)
    cells.push_back({picture.width / downscale, picture.height / downscale});
  return std::any_of(cells.begin(), cells.end(), [&](const PictureHeader& cell) {
    return is_sheet_of(file, cell) ||
           (file.animated && file.width == cell.width && file.height == cell.height);
  });
}

/// The text that sheets carry names the seeds of all their pictures.
bool says_sheet(std::span<const std::byte> beginning) {
  return png_text_in_header(beginning, parameters_keyword).starts_with("{\"seeds\":");
}

/// Whether a file is one of the program's own beside pictures, the size of which is known where
/// they are named by their seeds.
bool is_own_sheet(const FileSource& source, const std::string& name,
                  const std::optional<PictureHeader>& picture) {
  try {
    constexpr size_t enough_for_text = size_t{1} << 16;
    if (base_name(name).ends_with(".png") &&
        says_sheet(source.read_beginning(name, enough_for_text)))
      return true;
  } catch (const Error&) {  // told when it is read as a picture
    return false;
  }
  if (!picture) return false;
  const auto header = header_of([&](size_t size) { return source.read_beginning(name, size); });
  return header && is_made_of(*header, *picture);
}

std::string pictures_text(size_t count) {
  return std::to_string(count) + (count == 1 ? " picture" : " pictures");
}

/// What the note begins with, and where the names stand that were taken out.
std::string take_out(std::vector<std::string>& names, const std::vector<std::string>& own,
                     const std::string& what) {
  if (own.empty()) return "";
  std::erase_if(names, [&](const std::string& name) {
    return std::binary_search(own.begin(), own.end(), name);
  });
  return "passed over " + pictures_text(own.size()) + " that " +
         (own.size() == 1 ? "is " : "are ") + what + (own.size() == 1 ? ": '" : ", such as '") +
         own.front() + "'";
}

std::string sift_own_sheets(const FileSource& source, std::vector<std::string>& names) {
  const auto first = std::find_if(names.begin(), names.end(), is_seed_picture);
  std::optional<PictureHeader> picture;
  if (first != names.end())
    picture = header_of([&](size_t size) { return source.read_beginning(*first, size); });
  // Without names that tell, all are looked at, as long as that is soon done.
  constexpr size_t most_to_look_at = 10'000;
  if (!picture && names.size() > most_to_look_at) return "";
  std::vector<std::string> own;
  size_t seeds = 0;
  for (const std::string& name : names) {
    check_interrupt();
    if (picture && is_seed_picture(name))
      ++seeds;
    else if (is_own_sheet(source, name, picture))
      own.push_back(name);
  }
  const auto strips =
      static_cast<size_t>(std::count_if(own.begin(), own.end(), is_trajectory_name));
  if (picture && own.size() - strips > seeds) return "";  // then they are something else
  return take_out(names, own, "no single one, but a sheet, strip or animation of edm2 generate");
}

// ---- Copies.

bool equal_files(const FileSource& source, const std::string& a, const std::string& b) {
  try {
    const auto beginning = [&](const std::string& name) {
      return source.read_beginning(name, picture_header_bytes);
    };
    return beginning(a) == beginning(b) && source.read(a) == source.read(b);
  } catch (const Error&) {  // told when they are read as pictures
    return false;
  }
}

std::string sift_copies(const FileSource& source, std::vector<std::string>& names) {
  std::vector<std::string> copies;
  for (const std::string& name : names) {
    check_interrupt();
    for (const std::string& original : originals_of(name)) {
      if (!source.contains(original) || !equal_files(source, name, original)) continue;
      copies.push_back(name);
      break;
    }
  }
  return take_out(names, copies, "a copy of another one by name and content");
}

}  // namespace

std::vector<std::string> sift_pictures(const FileSource& source, std::vector<std::string>& names) {
  std::vector<std::string> notes;
  for (const auto& sift : {sift_own_sheets, sift_copies})
    if (std::string note = sift(source, names); !note.empty()) notes.push_back(std::move(note));
  return notes;
}

void check_sizes(const ImageDataset& dataset, const std::string& path) {
  const int64_t height = dataset.image_shape().at(1), width = dataset.image_shape().at(2);
  OrderedWorkers<std::optional<PictureHeader>> headers(
      worker_threads(8), /*window=*/1024, dataset.size(), [&](int64_t i) {
        return header_of([&](size_t size) { return dataset.item_beginning(i, size); });
      });
  const auto text = [](int64_t w, int64_t h) {
    return std::to_string(w) + "x" + std::to_string(h);
  };
  int64_t others = 0;
  std::string first;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    check_interrupt();
    const auto header = headers.next();
    if (!header || (header->width == width && header->height == height)) continue;
    if (others++ == 0)
      first = "'" + dataset.item_name(i) + "' (" + text(header->width, header->height) + ")";
  }
  if (others == 0) return;
  throw Error("the pictures in '" + path + "' are of several sizes: " + std::to_string(others) +
              " of " + std::to_string(dataset.size()) + (others == 1 ? " is" : " are") + " not " +
              text(width, height) + " as '" + dataset.item_name(0) + "' is, the first of them is " +
              first + "; all images must have one size ('edm2 dataset convert' scales them)");
}

}  // namespace edm2
