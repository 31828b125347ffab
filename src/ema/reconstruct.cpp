#include "edm2/ema/reconstruct.h"

#include <algorithm>

#include "core/ordered_workers.h"
#include "edm2/core/error.h"
#include "edm2/core/process_group.h"
#include "edm2/io/atomic_file.h"
#include "ema/report.h"
#include "ema/running_sums.h"
#include "ema/snapshot_writer.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

struct PlannedResult {
  EmaProfile profile;
  fs::path path;
  PostHocSolution solution;
};

struct ReconstructPlan {
  NamedSource indir;                   // of the files
  std::vector<SnapshotFile> files;     // sorted by time, then width
  std::vector<PlannedResult> results;  // sorted by width; may be empty
  SnapshotFormat format = SnapshotFormat::pickle;

  /// For messages: the path or address of a snapshot.
  std::string source_name(size_t i) const {
    const std::string& name = files[i].file_name;
    return indir.is_web() ? web_file_address(indir.shown(), name)
                          : (fs::path(indir.text()) / name).string();
  }
};

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

/// Finds and checks names; reads no snapshot. Throws Error.
ReconstructPlan plan_reconstruction(const ReconstructOptions& options, Progress& progress) {
  ReconstructPlan plan;
  plan.indir = options.indir;
  SnapshotList list =
      select_snapshots(list_names(plan.indir, options.fetch, progress), options.filter);
  for (const std::string& note : list.notes) progress.message(note);
  const int64_t nimg = choose_time(list.files, options);
  for (SnapshotFile& file : list.files)
    if (file.nimg > 0 && file.nimg <= nimg) plan.files.push_back(std::move(file));
  if (plan.files.empty()) fail_without_files(options);
  check_no_duplicates(plan.files);

  plan.format = options.format.value_or(plan.files.front().name.format);
  plan.results = choose_results(options, nimg, plan.format);
  std::vector<EmaProfile> targets;
  for (const PlannedResult& result : plan.results) targets.push_back(result.profile);
  auto solutions = solve_posthoc(profiles_of(plan.files), targets);
  for (size_t j = 0; j < solutions.size(); ++j) plan.results[j].solution = std::move(solutions[j]);
  return plan;
}

/// Consecutive parts, as even as possible: [begin, end) of part `index`.
std::pair<size_t, size_t> part_of(size_t count, size_t parts, size_t index) {
  const size_t size = count / parts, larger = count % parts;
  const size_t begin = index * size + std::min(index, larger);
  return {begin, begin + size + (index < larger ? 1 : 0)};
}

class Reconstruction {
 public:
  Reconstruction(const ReconstructOptions& options, ReconstructPlan plan, Progress& progress,
                 ProcessGroup& group)
      : options_(options), plan_(std::move(plan)), progress_(progress), group_(group) {
    constexpr int64_t most_files = 256;  // each result has a file open
    const auto count = static_cast<int64_t>(plan_.results.size());
    const int64_t most = std::min(options.max_batch_size.value_or(most_files), most_files);
    batches_ = is_web() ? 1 : static_cast<size_t>((count - 1) / most + 1);
  }

  void run() {
    if (is_web() && group_.size() > 1)
      throw Error("snapshots of the web are reconstructed by one process; leave out --nproc");
    announce();
    is_web() ? run_from_web() : run_from_folder();
  }

 private:
  bool is_web() const { return plan_.indir.is_web(); }
  size_t input_count() const { return plan_.files.size(); }

  std::pair<size_t, size_t> batch_part(size_t batch) const {
    return part_of(plan_.results.size(), batches_, batch);
  }

  void announce() {
    progress_.message("Loading " + std::to_string(input_count()) + " input pickles...");
    for (size_t i = 0; i < input_count(); ++i) progress_.message("    " + plan_.source_name(i));
    progress_.message("Reconstructing " + std::to_string(plan_.results.size()) +
                      " output pickles in " + std::to_string(batches_) + " batches...");
    for (size_t batch = 0; batch < batches_; ++batch)
      for (auto [j, end] = batch_part(batch); j < end; ++j)
        progress_.message("    batch " + std::to_string(batch) + ": " +
                          plan_.results[j].path.string());
    constexpr double worth_a_warning = 0.1;
    for (const PlannedResult& result : plan_.results) {
      const bool is_bad = result.solution.error > worth_a_warning;
      if (options_.report || is_bad)
        progress_.message((is_bad ? "Warning: for " : "    ") + result.path.filename().string() +
                          " the expected error is " + percent(result.solution.error));
    }
  }

  /// After all checks, before the first network. False in dry runs.
  bool begin_output() {
    if (options_.report || !options_.dry_run) prepare_output_folder(options_.outdir);
    if (options_.report && group_.is_main()) write_report();
    if (!options_.dry_run)
      progress_.start("Reconstructing", static_cast<int64_t>(batches_ * input_count()), "step");
    return !options_.dry_run;
  }

  void write_report() {
    std::vector<EmaProfile> targets;
    std::vector<PostHocSolution> solutions;
    for (const PlannedResult& result : plan_.results) {
      targets.push_back(result.profile);
      solutions.push_back(result.solution);
    }
    // "phema-0008388-report"
    std::string stem = plan_.results.front().path.filename().string();
    stem = stem.substr(0, stem.rfind('-')) + "-report";
    const fs::path csv = options_.outdir / (stem + ".csv");
    const fs::path figure = options_.outdir / (stem + ".svg");
    write_file(csv, coefficients_csv(plan_.files, targets, solutions));
    plot::save_figure(figure, reconstruction_figure(plan_.files, targets, solutions));
    progress_.message("Saved " + csv.string() + " and " + figure.string());
  }

  SumPlan plan_results(const SnapshotIndex& network, size_t begin, size_t end) const {
    std::vector<std::vector<double>> coefficients;
    for (size_t j = begin; j < end; ++j)
      coefficients.push_back(plan_.results[j].solution.coefficients);
    SumPlan plan = plan_sums(network, std::move(coefficients));
    plan.finite_only = network.network.has_value();
    return plan;
  }

  std::vector<fs::path> paths(size_t begin, size_t end) const {
    std::vector<fs::path> result;
    for (size_t j = begin; j < end; ++j) result.push_back(plan_.results[j].path);
    return result;
  }

  void run_from_folder() {
    const std::vector<OpenSnapshot> snapshots =
        open_snapshots(options_.indir, plan_.files, input_count());
    const SnapshotIndex network = describe_result(snapshots);
    snapshot_pieces(network, plan_.format);  // throws if it cannot be written
    if (!begin_output()) return;
    for (size_t batch = 0; batch < batches_; ++batch) run_batch(batch, snapshots, network);
    group_.barrier();
    progress_.finish();
  }

  /// One pass over the snapshots.
  void run_batch(size_t batch, std::span<const OpenSnapshot> snapshots,
                 const SnapshotIndex& network) {
    const size_t first = batch_part(batch).first, count = batch_part(batch).second - first;
    auto [begin, end] =
        part_of(count, static_cast<size_t>(group_.size()), static_cast<size_t>(group_.rank()));
    const auto steps = static_cast<double>(input_count());
    const int64_t steps_before = steps_;
    if (begin < end) {
      SumPlan sums = plan_results(network, first + begin, first + end);
      SnapshotFilesReceiver receiver(network, plan_.format, paths(first + begin, first + end),
                                     sums);
      sum_snapshots(snapshots, sums, receiver, [&](double fraction) {
        advance_to(steps_before + static_cast<int64_t>(fraction * steps));
      });
      receiver.finish();
    }
    advance_to(steps_before + static_cast<int64_t>(input_count()));
  }

  /// Returns its path; does nothing if it is there.
  fs::path download(const std::string& name, const fs::path& folder) const {
    check_interrupt();
    const auto quiet = make_progress(ProgressStyle::quiet);
    download_file(web_file_address(options_.indir, name), folder / name, options_.fetch, *quiet);
    return folder / name;
  }

  static OpenSnapshot open_arrived(const fs::path& path) {
    try {
      return OpenSnapshot(path);
    } catch (const Error&) {
      std::error_code ignored;
      fs::remove(path, ignored);  // so that the next call downloads it anew
      throw;
    }
  }

  void run_from_web() {
    if (!begin_output()) return;
    const fs::path folder = options_.keep.value_or(options_.outdir / ".edm2-snapshots");
    prepare_output_folder(folder, "--keep");
    constexpr int64_t ahead = 2;  // files that may wait
    OrderedWorkers<fs::path> downloads(
        /*threads=*/1, ahead, static_cast<int64_t>(input_count()),
        [&](int64_t i) { return download(plan_.files[static_cast<size_t>(i)].file_name, folder); });

    std::optional<OpenSnapshot> first, latest;
    std::optional<RunningSums> sums;
    SnapshotIndex network;
    for (size_t i = 0; i < input_count(); ++i) {
      latest.reset();
      latest.emplace(open_arrived(downloads.next()));
      if (!first) {
        network = describe_result(std::span(&*latest, 1));
        snapshot_pieces(network, plan_.format);  // throws if it cannot be written
        sums.emplace(network, plan_results(network, 0, plan_.results.size()), options_.outdir);
        first.emplace(latest->file.path());
      }
      check_same_network(*first, *latest);
      sums->add(*latest);
      std::error_code ignored;
      if (!options_.keep) fs::remove(latest->file.path(), ignored);  // can still be read
      advance_to(static_cast<int64_t>(i + 1));
    }
    SumPlan order = plan_results(network, 0, plan_.results.size());
    SnapshotFilesReceiver receiver(network, plan_.format, paths(0, plan_.results.size()), order);
    sums->finish(receiver, order.order, *latest);
    receiver.finish();
    std::error_code ignored;
    if (!options_.keep) fs::remove(folder, ignored);
    progress_.finish();
  }

  void advance_to(int64_t steps) {
    if (steps > steps_) progress_.advance(steps - steps_);
    steps_ = std::max(steps, steps_);
  }

  const ReconstructOptions& options_;
  ReconstructPlan plan_;
  Progress& progress_;
  ProcessGroup& group_;
  size_t batches_ = 1;
  int64_t steps_ = 0;
};

}  // namespace

void reconstruct_phema(const ReconstructOptions& options, Progress& progress, ProcessGroup& group) {
  ReconstructPlan plan = plan_reconstruction(options, progress);
  group.barrier();  // all have looked at what is there before anything is written
  if (plan.results.empty()) {
    progress.message("Nothing to do: all output pickles exist");
    return;
  }
  Reconstruction(options, std::move(plan), progress, group).run();
}

void reconstruct_phema(const ReconstructOptions& options, Progress& progress) {
  reconstruct_phema(options, progress, *ProcessGroup::single());
}

}  // namespace edm2
