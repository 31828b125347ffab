// How a run begins and how it ends: at its end, by suspension, by an error.
#include <cstring>
#include <string>

#include "core/measuring.h"
#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/core/platform.h"
#include "train/trainer_state.h"

namespace edm2 {
namespace {

std::string kimg_text(int64_t nimg) { return std::to_string(nimg / 1000); }

}  // namespace

void Trainer::State::say_begin() {
  log.line("Training from " + kimg_text(run.cur_nimg) + " kimg to " +
           kimg_text(options.total_nimg) + " kimg:\n");
  progress->start("Training", options.total_nimg, "image");
  if (run.cur_nimg > 0) progress->already_done(run.cur_nimg);
}

/// The run was at its end before it began.
RunEnd Trainer::State::say_finished() {
  log.line("This run is finished: it has seen " + kimg_text(run.cur_nimg) + " kimg of " +
           kimg_text(options.total_nimg) + " kimg; use a larger --duration to train on");
  files.close();
  return RunEnd::finished;
}

RunEnd Trainer::State::finish() {
  progress->finish();
  files.close();
  if (!save_error.empty()) throw Error("the run has come to its end, but " + save_error);
  return RunEnd::finished;
}

/// "by signal 15 (Terminated)", "after 3h 50m 00s"; empty as long as the run may go on. The time
/// counts only when this start of the run has begun to take steps, so that it gets somewhere
/// however short the time. All processes call it, and what holds for one holds for all.
std::string Trainer::State::suspend_reason() {
  constexpr int time_is_over = -1, none = -2;
  const auto& limit = options.suspend_after;
  int own = has_begun() && limit && seconds_now() - made_at >= *limit ? time_is_over : none;
  if (const int signal = pending_signal(); signal != 0) own = signal;
  const auto common = static_cast<int>(group.max(own));
  if (common == none) return "";
  if (common == time_is_over) return "after " + format_duration(*limit);
  return "by signal " + std::to_string(common) + " (" + strsignal(common) + ")";
}

RunEnd Trainer::State::suspend(const std::string& reason) {
  if (run.cur_nimg != saved_nimg) save_state();
  progress->finish();
  files.close();
  if (!save_error.empty()) throw Error("suspended " + reason + ", but " + save_error);
  log.line("Suspended " + reason + " at " +
           format_number("%.3f", static_cast<double>(run.cur_nimg) / 1e3) +
           " kimg; the same command goes on from there");
  return RunEnd::suspended;
}

/// A step has failed, because of a broken image for example.
void Trainer::State::explain(const Error& error) {
  log.note(std::string("Error: ") + error.what());
  throw Error(std::string(error.what()) + "; the run in '" + options.outdir.string() +
              "' stops at " + kimg_text(run.cur_nimg) +
              " kimg, and goes on from its newest training state once this is mended");
}

}  // namespace edm2
