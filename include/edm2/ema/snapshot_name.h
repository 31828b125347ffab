/// What the names of snapshot files say: PREFIX-KIMG-STD.pkl, e.g.
/// network-snapshot-0008388-0.050.pkl.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "edm2/ema/posthoc.h"
#include "edm2/nn/snapshot.h"

namespace edm2 {

/// Training times are multiples of 1024 images, and names give them in thousands, rounded down.
/// The time of a name. Throws Error if no such time exists (42 lies between 41984 and 43008).
int64_t nimg_from_kimg(int64_t kimg);
inline int64_t kimg_from_nimg(int64_t nimg) { return nimg / 1000; }

/// The parts of a snapshot's file name.
struct SnapshotName {
  std::string prefix;  ///< "network-snapshot"
  int64_t kimg = 0;    ///< thousands of images
  double std = 0;      ///< relative width of the EMA
  SnapshotFormat format = SnapshotFormat::pickle;

  /// "network-snapshot-0008388-0.050.pkl": kimg with 7 digits or more, std with three decimals.
  std::string file_name() const;
};

/// None if the name has another form than PREFIX-KIMG-STD.pkl or .safetensors.
std::optional<SnapshotName> parse_snapshot_name(const std::string& file_name);

/// A snapshot in a folder.
struct SnapshotFile {
  std::string file_name;  ///< as the folder lists it
  SnapshotName name;
  int64_t nimg = 0;  ///< training time in images

  EmaProfile profile() const { return {nimg, name.std}; }
};

/// Which snapshots of a folder are meant.
struct SnapshotFilter {
  std::optional<std::string> prefix;  ///< none: any
  std::vector<double> stds;           ///< compared to three decimals; empty: any
};

/// The snapshots of a folder.
struct SnapshotList {
  std::vector<SnapshotFile> files;  ///< sorted by time, then width
  /// Remarks for the user: files that were left out although they match, several prefixes.
  std::vector<std::string> notes;
};

/// Those of the file names that are snapshots and pass the filter.
SnapshotList select_snapshots(const std::vector<std::string>& file_names,
                              const SnapshotFilter& filter);

/// The names of the regular files in a folder. Throws Error if it cannot be read.
std::vector<std::string> list_folder(const std::filesystem::path& folder);

/// Throws Error, naming the files, if two of them have the same time and the same width.
void check_no_duplicates(const std::vector<SnapshotFile>& files);

}  // namespace edm2
