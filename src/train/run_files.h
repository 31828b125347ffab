// Everything that a run writes: settings, log, statistics, snapshots, training states.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "edm2/core/progress.h"
#include "edm2/io/append_file.h"
#include "edm2/train/train_options.h"
#include "train/checkpoints.h"
#include "train/run_folder.h"
#include "train/run_log.h"

namespace edm2 {

/// The first process writes; in the others nothing is opened and only `log` may be used.
class RunFiles {
 public:
  RunFiles(const TrainOptions& options, std::shared_ptr<Progress> progress);

  RunLog log;

  /// Makes the folder if it is not there, and takes it for this run. Throws Error.
  void open();
  /// After newest_state(): writes down what the run is trained with, or says what has changed since
  /// the run in the folder began. Throws Error.
  void note_settings(const nlohmann::ordered_json& config);
  /// The run is over: others may use the folder.
  void close() { folder_.close(); }

  /// See newest_whole_state().
  std::optional<WholeState> newest_state();
  /// The run goes on at cur_nimg images: prepares stats.jsonl for that. Throws Error.
  void begin(int64_t cur_nimg);

  /// A line of stats.jsonl, with its end.
  void add_stats(const std::string& line);
  /// Makes a file of that name whole or not at all; `shown` stands for it in the log. If it cannot
  /// be written, says so or throws Error, as the options want it.
  void save(const std::string& name, const std::string& shown, const FileWriter& write);
  /// The same for a training state, after which older ones may go. Returns what went wrong, or "".
  std::string save_state(const std::string& name, const FileWriter& write);

 private:
  void failed(const std::string& what);
  void remove_old(const std::string& newest);
  std::string try_to_publish(const std::string& name, const FileWriter& write);

  const TrainOptions& options_;
  std::shared_ptr<Progress> progress_;
  RunFolder folder_;
  AppendFile stats_;
  std::string newest_state_;  // name of the last one read or written
};

}  // namespace edm2
