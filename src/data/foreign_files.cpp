#include "data/foreign_files.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "data/copy_names.h"
#include "data/shard_archive.h"
#include "edm2/core/platform.h"
#include "edm2/data/file_source.h"
#include "io/code_pages.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

// Sorted. Cameras' raw pictures have the greater part.
constexpr std::string_view unread_extensions[] = {
    ".3fr", ".arw", ".bpg", ".cr2",  ".cr3",   ".crw",  ".dcm",   ".dcr", ".djvu", ".dng",
    ".erf", ".exr", ".hdr", ".heic", ".heics", ".heif", ".heifs", ".hif", ".iiq",  ".jls",
    ".jng", ".jxl", ".jxr", ".kdc",  ".kra",   ".mef",  ".mng",   ".mos", ".mrw",  ".nef",
    ".nrw", ".orf", ".pam", ".pct",  ".pef",   ".pict", ".psb",   ".raf", ".rw2",  ".rwl",
    ".sr2", ".srf", ".srw", ".svg",  ".svgz",  ".wdp",  ".x3f",   ".xcf"};

struct ForeignKind {
  std::string_view ending;  // of the name in lower case
  std::string_view words;
};

constexpr std::string_view unpack_it = ": unpack it, and give the folder";
constexpr std::string_view save_pictures = ": save its pictures as files (PNG) first";

constexpr ForeignKind unread_kinds[] = {
    {".7z", "a 7-Zip archive"},         {".rar", "a RAR archive"},
    {".parquet", "a Parquet table"},    {".arrow", "an Arrow table"},
    {".tfrecord", "a TFRecord file"},   {".tfrecords", "a TFRecord file"},
    {"data.mdb", "an LMDB database"},   {".lmdb", "an LMDB database"},
    {".npz", "a file of numpy arrays"}, {".mat", "a file of MATLAB"},
    {".rec", "a RecordIO file"},        {".beton", "a file of FFCV"},
};

/// "'MNIST/raw'" of "MNIST/raw/train-images-idx3-ubyte".
std::string folder_in_quotes(const std::string& name) {
  return "'" + name.substr(0, name.rfind('/')) + "'";
}

/// What the file is and what to do, after "it holds 'NAME', "; "" if that is not known.
std::string what_to_do(const std::string& name, bool in_archive) {
  const std::string lower = ascii_lower(name);
  const bool deep = name.find('/') != std::string::npos;
  const std::string_view file = std::string_view(lower).substr(lower.rfind('/') + 1);
  const std::string unpack_outer = ": unpack the archive around it, and give ";
  if (lower.ends_with(".zip") || has_tar_extension(lower))
    return std::string(lower.ends_with(".zip") ? "a zip" : "a tar") + " archive" +
           (in_archive ? unpack_outer + "it" : ": give its path instead");
  const bool mnist =
      file.find("-images") != std::string_view::npos && file.find("idx3") != std::string_view::npos;
  if (mnist || file.starts_with("data_batch_"))
    return std::string("a file of ") + (mnist ? "MNIST" : "CIFAR") +
           (in_archive ? unpack_outer + "its folder"
            : deep     ? ": give the folder " + folder_in_quotes(name) + " in it"
                       : "");
  for (const ForeignKind& kind : unread_kinds)
    if (lower.ends_with(kind.ending))
      return std::string(kind.words) +
             std::string(kind.words.ends_with("archive") ? unpack_it : save_pictures);
  if (lower.ends_with(".npy"))
    return "a numpy array: 'edm2 dataset decode' makes pictures of VAE latents";
  if (is_unread_picture(name))
    return "a picture of a kind that is not read: convert such pictures to PNG or JPEG first";
  return "";
}

bool are_equal(const std::string& a, const std::string& b) {
  std::error_code error;
  const uintmax_t size = fs::file_size(a, error);
  if (error || size == 0 || fs::file_size(b, error) != size || error) return false;
  const MappedFile first(a), second(b);
  return std::ranges::equal(first.bytes(), second.bytes());
}

std::string file_name_in_quotes(const std::string& path) {
  return "'" + fs::path(path).filename().string() + "'";
}

}  // namespace

bool is_unread_picture(const std::string& name) {
  static_assert(std::is_sorted(std::begin(unread_extensions), std::end(unread_extensions)));
  return std::binary_search(std::begin(unread_extensions), std::end(unread_extensions),
                            std::string_view(lower_extension(name)));
}

std::string unread_pictures_note(const std::vector<std::string>& names) {
  const auto first = std::find_if(names.begin(), names.end(), is_unread_picture);
  if (first == names.end()) return "";
  const auto count = std::count_if(first, names.end(), is_unread_picture);
  return count == 1 ? "1 file looks like a picture of a kind that is not read: '" + *first + "'"
                    : std::to_string(count) +
                          " files look like pictures of kinds that are not read, the first is '" +
                          *first + "'";
}

std::string what_is_instead(const std::vector<std::string>& names, const std::string& path) {
  std::error_code ignored;
  const bool in_archive = !fs::is_directory(path, ignored);
  if (names.empty())
    return std::string("; the ") + (in_archive ? "archive" : "folder") + " is empty";
  if (lower_extension(path) == ".npz")
    return "; it is a file of numpy arrays" + std::string(save_pictures);
  for (const std::string& name : names)
    if (const std::string words = what_to_do(name, in_archive); !words.empty())
      return "; it holds '" + name + "', " + words;
  return "";
}

std::string take_copies(std::vector<std::string>& paths) {
  std::string first;
  const size_t all = paths.size();
  const std::vector<std::string> others = paths;
  std::erase_if(paths, [&](const std::string& path) {
    // "x.tar.gz" has two endings.
    const std::string packed = path.ends_with(".gz") ? ".gz" : "";
    const auto originals = originals_of(path.substr(0, path.size() - packed.size()));
    const auto original =
        std::find_if(originals.begin(), originals.end(), [&](const std::string& name) {
          return std::find(others.begin(), others.end(), name + packed) != others.end() &&
                 are_equal(path, name + packed);
        });
    if (original == originals.end()) return false;
    if (first.empty())
      first = file_name_in_quotes(path) + " is that of " + file_name_in_quotes(*original + packed);
    return true;
  });
  const size_t count = all - paths.size();
  if (count == 0) return "";
  return "passed over " + std::to_string(count) +
         (count == 1 ? " tar archive that is a second copy: "
                     : " tar archives that are second copies: ") +
         first;
}

}  // namespace edm2
