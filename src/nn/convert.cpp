#include "edm2/nn/convert.h"

#include <c10/core/ScalarType.h>

#include "edm2/core/error.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

// A file that goes with its last user.
class TemporaryFile {
 public:
  explicit TemporaryFile(fs::path path) : path_(std::move(path)) {}
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const char* short_name(at::ScalarType dtype) {
  return dtype == at::kHalf ? "fp16" : dtype == at::kBFloat16 ? "bf16" : "fp32";
}

void report_rounding(const RoundingReport& report, at::ScalarType dtype, Progress& progress) {
  const auto text = [](int64_t n) { return std::to_string(n); };
  const std::string counts = text(report.rounded) + " of " + text(report.values) +
                             " values rounded, " + text(report.underflowed) + " of them to 0";
  if (report.overflowed > 0)
    throw Error("--precision=" + std::string(short_name(dtype)) + ": " + text(report.overflowed) +
                " values are beyond the range of the type, first in " + report.first_overflow +
                "; choose bf16 or fp32");
  progress.message("Precision " + std::string(short_name(dtype)) + ": " + counts);
}

void expect_same(const Snapshot& a, const Snapshot& b, const std::string& what) {
  const auto found = differences(a, b);
  if (found.empty()) return;
  std::string text;
  for (const std::string& difference : found) text += (text.empty() ? "" : "; ") + difference;
  throw Error("the check failed: " + what + ": " + text);
}

// The written file, and what becomes of it on the way back.
void check(const ConvertOptions& options, const Snapshot& written, SnapshotFormat input_format,
           Progress& progress) {
  const Snapshot read_back = load_snapshot(options.output);
  expect_same(written, read_back, "the written file differs from what was to be written");
  int64_t bytes = 0;
  for (const auto& [name, tensor] : read_back.tensors)
    bytes += static_cast<int64_t>(tensor.nbytes());
  progress.message("Checked: read again, " + std::to_string(read_back.tensors.size()) +
                   " tensors (" + std::to_string(bytes) +
                   " bytes), configuration, encoder, dataset and loss are the same");
  if (input_format == SnapshotFormat::pickle && read_back.folded) {
    progress.message("Not checked: the way back, because folded weights have no pickle");
    return;
  }
  const TemporaryFile back(options.output.string() + ".check");
  if (fs::exists(back.path()))
    throw Error("cannot check the way back: '" + back.path().string() + "' is in the way");
  save_snapshot(back.path(), read_back, input_format);
  expect_same(written, load_snapshot(back.path()), "the way back loses something");
  progress.message(std::string("Checked: converted back to ") + format_name(input_format) +
                   " and read, the same again");
}

}  // namespace

void convert_snapshot(const ConvertOptions& options, Progress& progress) {
  const SnapshotFormat output_format = snapshot_format_for(options.output);
  progress.message("Loading " + options.input.string() + " ...");
  LoadedWeights loaded = load_weights(options.input, options.weights);
  for (const std::string& note : loaded.notes) progress.message("Note: " + note);
  Snapshot& snapshot = loaded.snapshot;
  if (options.fold) {
    snapshot = fold(snapshot);
    progress.message("Folded: weights are normalised, gains are baked in");
  }
  if (options.precision)
    report_rounding(change_precision(snapshot, *options.precision), *options.precision, progress);
  save_snapshot(options.output, snapshot, output_format);
  progress.message("Saved " + options.output.string() + " (" +
                   std::to_string(snapshot.tensors.size()) + " tensors)");
  if (options.check) check(options, snapshot, loaded.format, progress);
}

}  // namespace edm2
