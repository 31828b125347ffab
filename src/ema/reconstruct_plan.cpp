#include "ema/reconstruct_plan.h"

#include <algorithm>

#include "edm2/core/error.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> list_names(const NamedSource& indir, const FetchOptions& fetch,
                                    Progress& progress) {
  if (indir.is_web()) return list_web_folder(indir, fetch, progress);
  std::error_code ignored;
  if (fs::is_regular_file(indir.text(), ignored))
    throw Error("'" + indir.text() +
                "' is a file; --indir takes the folder of a run, with snapshots such as "
                "network-snapshot-0001048-0.100.pkl");
  if (!fs::is_directory(indir.text(), ignored))
    throw Error("Input directory does not exist: '" + indir.text() + "'");
  return list_folder(indir.text());
}

// The original's sentences, and behind them what they leave open.
[[noreturn]] void fail_without_files(const ReconstructOptions& options) {
  const bool filtered = options.filter.prefix.has_value() || !options.filter.stds.empty();
  throw Error("No valid input pickles found: '" + NamedSource(options.indir).shown() +
              "' has no files named like network-snapshot-0001048-0.100.pkl" +
              (filtered ? " that --inprefix and --instd let through" : ""));
}

int64_t choose_time(const std::vector<SnapshotFile>& files, const ReconstructOptions& options) {
  if (files.empty()) fail_without_files(options);
  if (!options.outkimg) return files.back().nimg;
  for (const SnapshotFile& file : files)
    if (file.name.kimg == *options.outkimg) return file.nimg;
  throw Error("Reconstruction time must match one of the input pickles: there is none of " +
              std::to_string(*options.outkimg) + " kimg, they are from " +
              std::to_string(files.front().name.kimg) + " to " +
              std::to_string(files.back().name.kimg));
}

std::vector<PlannedResult> choose_results(const ReconstructOptions& options, int64_t nimg,
                                          SnapshotFormat format) {
  std::vector<double> stds = options.outstds;
  std::sort(stds.begin(), stds.end());
  stds.erase(std::unique(stds.begin(), stds.end()), stds.end());
  std::vector<PlannedResult> results;
  for (const double std : stds) {
    const SnapshotName name{options.outprefix, kimg_from_nimg(nimg), std, format};
    results.push_back({{nimg, std}, options.outdir / name.file_name(), {}});
    if (results.size() > 1 && results[results.size() - 2].path == results.back().path)
      throw Error(
          "two of the lengths in --outstd are the same to three decimals, so that both would be "
          "written to " +
          name.file_name());
  }
  if (options.skip)
    std::erase_if(results, [](const PlannedResult& result) { return fs::exists(result.path); });
  return results;
}

}  // namespace

std::string ReconstructPlan::source_name(size_t i) const {
  const std::string& name = files[i].file_name;
  return indir.is_web() ? web_file_address(indir.shown(), name)
                        : (fs::path(indir.text()) / name).string();
}

ReconstructPlan plan_reconstruction(const ReconstructOptions& options, Progress& progress) {
  ReconstructPlan plan;
  plan.indir = options.indir;
  SnapshotList list =
      select_snapshots(list_names(plan.indir, options.fetch, progress), options.filter);
  for (const std::string& note : list.notes) progress.message(note);
  plan.nimg = choose_time(list.files, options);
  for (SnapshotFile& file : list.files)
    if (file.nimg > 0 && file.nimg <= plan.nimg) plan.files.push_back(std::move(file));
  if (plan.files.empty()) fail_without_files(options);
  check_no_duplicates(plan.files);

  plan.format = options.format.value_or(plan.files.front().name.format);
  plan.results = choose_results(options, plan.nimg, plan.format);
  std::vector<EmaProfile> stored, targets;
  for (const SnapshotFile& file : plan.files) stored.push_back(file.profile());
  for (const PlannedResult& result : plan.results) targets.push_back(result.profile);
  auto solutions = solve_posthoc(stored, targets);
  for (size_t j = 0; j < solutions.size(); ++j) plan.results[j].solution = std::move(solutions[j]);
  return plan;
}

std::pair<size_t, size_t> part_of(size_t count, size_t parts, size_t index) {
  const size_t size = count / parts, larger = count % parts;
  const size_t begin = index * size + std::min(index, larger);
  return {begin, begin + size + (index < larger ? 1 : 0)};
}

}  // namespace edm2
