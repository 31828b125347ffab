#include "edm2/analysis/sweep.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "analysis/sweep_figures.h"
#include "edm2/core/error.h"
#include "edm2/core/format_number.h"
#include "edm2/ema/run_source.h"
#include "edm2/ema/snapshots.h"
#include "edm2/generate/generate.h"
#include "edm2/generate/network_source.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/json.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* state_name = "sweep.json";

// What decides over pictures and scores beside length and guidance.
Json settings_of(const SweepOptions& o, int64_t kimg) {
  const SamplerOptions& s = o.sampler;
  Json json = {{"run", fs::weakly_canonical(o.run).string()},
               {"kimg", kimg},
               {"gnet", o.gnet ? Json(o.gnet->shown()) : Json()},
               {"seeds", o.seeds},
               {"class", o.class_idx ? Json(*o.class_idx) : Json()},
               {"solver", solver_name(s.solver)},
               {"steps", s.num_steps},
               {"sigma_min", s.sigma_min},
               {"sigma_max", s.sigma_max},
               {"rho", s.rho},
               {"guidance_interval",
                {format_number("%g", s.guidance_interval.low),
                 format_number("%g", s.guidance_interval.high)}},
               {"S_churn", s.S_churn},
               {"precision", static_cast<int>(o.precision)}};
  if (!o.metrics.empty()) {
    json["num"] = o.num;
    json["ref"] = o.ref ? Json(o.ref->shown()) : Json();
    json["ref_features"] = o.ref_features ? Json(o.ref_features->shown()) : Json();
  }
  return json;
}

// The first setting that differs, for a message; empty if there is none.
std::string changed_setting(const Json& before, const Json& now) {
  for (const auto& [key, value] : now.items())
    if (before.contains(key) && before[key] != value)
      return key + ": " + before[key].dump() + " there, " + value.dump() + " now";
  return "";
}

// What is known of the points of earlier and of this call, by their names.
class SweepState {
 public:
  SweepState(const fs::path& outdir, const Json& settings)
      : outdir_(outdir), json_{{"settings", settings}} {
    json_["cells"] = Json::object();
    const fs::path path = outdir / state_name;
    if (!fs::exists(path)) return;
    const std::string text = read_text_file(path);
    Json before;
    try {
      before = parse_ordered_json(text);
    } catch (const Error& error) {
      throw Error(path.string() + " is damaged (" + error.what() + "); remove it to begin anew");
    }
    try {
      const std::string change = changed_setting(before.at("settings"), settings);
      if (!change.empty())
        throw Error(outdir.string() + " holds a sweep with other settings (" + change +
                    "); choose another --outdir");
      json_["cells"] = before.at("cells");
      json_["settings"].update(before.at("settings"));
      json_["settings"].update(settings);
    } catch (const Json::exception&) {
      throw Error(path.string() + " is damaged; remove it to begin anew");
    }
  }

  const Json& cells() const { return json_["cells"]; }
  std::optional<double> score(const std::string& cell, const std::string& metric) const {
    const Json& cells = json_["cells"];
    if (!cells.contains(cell) || !cells[cell]["scores"].contains(metric)) return std::nullopt;
    const Json& value = cells[cell]["scores"][metric];
    return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
  }

  /// Names have few decimals.
  void check_cell(const std::string& name, double std, double guidance) const {
    if (!cells().contains(name)) return;
    const Json& cell = cells()[name];
    if (cell["std"] != std || cell["guidance"] != guidance)
      throw Error(outdir_.string() + " has a point " + name + " of another length or guidance (" +
                  cell["std"].dump() + ", " + cell["guidance"].dump() +
                  "); choose another --outdir");
  }

  Json& cell(const std::string& name, double std, double guidance) {
    Json& cell = json_["cells"][name];
    cell["std"] = std;
    cell["guidance"] = guidance;
    if (!cell.contains("scores")) cell["scores"] = Json::object();
    return cell;
  }

  void save() const {
    write_file(outdir_ / state_name, json_.dump(2) + '\n');
    write_file(outdir_ / "sweep.csv", csv());
  }

 private:
  std::string csv() const {
    std::set<std::string> metrics;
    for (const auto& [name, cell] : cells().items())
      for (const auto& [metric, value] : cell["scores"].items()) metrics.insert(metric);
    std::string text = "std,guidance";
    for (const std::string& metric : metrics) text += ',' + metric;
    text += '\n';
    std::vector<Json> sorted;
    for (const auto& [name, cell] : cells().items()) sorted.push_back(cell);
    std::sort(sorted.begin(), sorted.end(), [](const Json& a, const Json& b) {
      return std::pair(a["std"].get<double>(), a["guidance"].get<double>()) <
             std::pair(b["std"].get<double>(), b["guidance"].get<double>());
    });
    for (const Json& cell : sorted) {
      text += cell["std"].dump() + ',' + cell["guidance"].dump();
      for (const std::string& metric : metrics)
        text += ',' + (cell["scores"].contains(metric) ? cell["scores"][metric].dump() : "");
      text += '\n';
    }
    return text;
  }

  fs::path outdir_;
  Json json_;
};

class Sweep {
 public:
  Sweep(const SweepOptions& options, ProcessGroup& group, Progress& progress)
      : options_(options), group_(group), progress_(progress) {
    Snapshots snapshots(options.run);
    for (const std::string& note : snapshots.notes()) progress.message(note);
    kimg_ = options.kimg.value_or(kimg_from_nimg(snapshots.latest()));
    // All points can be computed, before the first one is.
    for (const double std : options.stds) snapshots.solve(std, nimg_from_kimg(kimg_));
  }

  std::vector<SweepCell> run() {
    std::optional<SweepState> state;
    Json todo = Json::array();
    if (group_.is_main()) {
      prepare_output_folder(options_.outdir);
      state.emplace(options_.outdir, settings_of(options_, kimg_));
      todo = missing(*state);
      state->save();  // sheets count only for these settings
    }
    // The others do what the first one has found to be missing.
    todo = Json::parse(group_.broadcast(todo.dump()));
    options_ = group_.main_first([&] { return with_resolved_sources(todo); });
    size_t number = 0;
    for (const Json& item : todo) {
      const double std = item["std"], guidance = item["guidance"];
      progress_.message("Point " + std::to_string(++number) + " of " + std::to_string(todo.size()) +
                        ": EMA length " + std_text(std) + ", guidance " + guidance_text(guidance));
      if (item["sheet"]) draw_sheet(std, guidance);
      std::vector<Score> scores;
      const std::string metrics = item["metrics"];
      if (!metrics.empty()) scores = measure(std, guidance, metrics);
      if (!state) continue;
      Json& cell = state->cell(cell_name(std, guidance), std, guidance);
      for (const Score& score : scores) cell["scores"][score.metric] = score.value;
      state->save();
    }
    return state ? finish(*state) : std::vector<SweepCell>();
  }

 private:
  static std::string std_text(double std) { return format_number("%.3f", std); }
  static std::string guidance_text(double guidance) { return format_number("%g", guidance); }
  static std::string cell_name(double std, double guidance) {
    return std_text(std) + '-' + guidance_text(guidance);
  }
  fs::path sheet_path(double std, double guidance) const {
    return options_.outdir / (cell_name(std, guidance) + ".png");
  }

  Json missing(const SweepState& state) const {
    Json todo = Json::array();
    for (const double std : options_.stds) {
      for (const double guidance : options_.guidances) {
        state.check_cell(cell_name(std, guidance), std, guidance);
        std::string metrics;
        for (const Metric& metric : options_.metrics)
          if (!state.score(cell_name(std, guidance), metric.name))
            metrics += (metrics.empty() ? "" : ",") + metric.name;
        const bool sheet = !options_.seeds.empty() && !fs::exists(sheet_path(std, guidance));
        if (sheet || !metrics.empty())
          todo.push_back(
              {{"std", std}, {"guidance", guidance}, {"sheet", sheet}, {"metrics", metrics}});
      }
    }
    return todo;
  }

  /// The options with what several points share resolved, so that it is found and hashed once.
  SweepOptions with_resolved_sources(const Json& todo) const {
    SweepOptions o = options_;
    for (const Json& item : todo) {
      if (item["guidance"] != 1 && !guide_is_run())
        o.gnet = find_network(*o.gnet, o.fetch, progress_);
      const std::string metrics = item["metrics"];
      if (metrics.empty()) continue;
      for (auto* reference : {&o.ref, &o.ref_features})
        if (*reference && group_.is_main()) *reference = (*reference)->resolved(o.fetch, progress_);
      for (const Metric& metric : parse_metric_list(metrics)) {
        NamedSource& source =
            metric.detector == DetectorKind::inception ? o.detectors.inception : o.detectors.dinov2;
        source = find_detector(metric.detector, source, o.fetch, progress_);
      }
    }
    return o;
  }

  std::string main_source(double std) const { return RunSource{options_.run, std, kimg_}.text(); }

  bool guide_is_run() const {
    std::error_code ignored;
    return fs::is_directory(options_.gnet->text(), ignored);
  }

  std::optional<NamedSource> guide_source(double std, double guidance) const {
    if (guidance == 1) return std::nullopt;
    if (guide_is_run()) return RunSource{options_.gnet->text(), std, {}}.text();
    return options_.gnet;
  }

  GenerateOptions sampling(double std, double guidance) const {
    GenerateOptions o;
    o.net = main_source(std);
    o.gnet = guide_source(std, guidance);
    o.fetch = options_.fetch;
    o.class_idx = options_.class_idx;
    o.max_batch_size = options_.max_batch_size;
    o.sampler = options_.sampler;
    o.sampler.guidance = guidance;
    o.device = options_.device;
    o.precision = options_.precision;
    o.vae = options_.vae;
    return o;
  }

  void draw_sheet(double std, double guidance) {
    GenerateOptions o = sampling(std, guidance);
    o.seeds = options_.seeds;
    o.grid = sheet_path(std, guidance);
    generate_images(o, progress_, group_);
  }

  std::vector<Score> measure(double std, double guidance, const std::string& metrics) {
    EvaluateOptions o;
    o.metrics = parse_metric_list(metrics);
    o.network.emplace();
    o.network->sampling = sampling(std, guidance);
    o.network->num = options_.num;
    o.ref = options_.ref;
    o.ref_features = options_.ref_features;
    o.detectors = options_.detectors;
    o.device = options_.device;
    o.fetch = options_.fetch;
    return evaluate(o, group_, progress_,
                    [&](const Score& score) {
                      progress_.message(score.metric + " = " + format_number("%g", score.value));
                    })
        .scores;
  }

  std::vector<SweepCell> finish(const SweepState& state) {
    std::vector<SweepCell> cells;
    for (const double std : options_.stds) {
      for (const double guidance : options_.guidances) {
        cells.push_back({std, guidance, {}});
        for (const Metric& metric : options_.metrics)
          if (const auto score = state.score(cell_name(std, guidance), metric.name))
            cells.back().scores.emplace_back(metric.name, *score);
      }
    }
    for (const Metric& metric : options_.metrics) {
      const fs::path path = options_.outdir / (metric.name + ".svg");
      plot::save_figure(path, score_figure(metric, options_.stds, options_.guidances, cells));
      progress_.message("Saved " + path.string());
    }
    if (!options_.seeds.empty()) {
      const fs::path path = options_.outdir / "overview.png";
      plot::save_figure(path, overview_figure(options_.stds, options_.guidances,
                                              [&](double std, double guidance) {
                                                return sheet_path(std, guidance);
                                              }));
      progress_.message("Saved " + path.string());
    }
    return cells;
  }

  SweepOptions options_;  // with what several points share, resolved
  ProcessGroup& group_;
  Progress& progress_;
  int64_t kimg_ = 0;
};

void check_distinct(const std::vector<double>& values, const char* pattern,
                    const std::string& option) {
  std::set<std::string> texts;
  if (values.empty()) throw UsageError(option + " is empty");
  for (const double value : values)
    if (!texts.insert(format_number(pattern, value)).second)
      throw UsageError(option + " has the value " + format_number(pattern, value) + " twice");
}

}  // namespace

std::optional<double> SweepCell::score(const std::string& metric) const {
  for (const auto& [name, value] : scores)
    if (name == metric) return value;
  return std::nullopt;
}

void validate(const SweepOptions& options) {
  check_distinct(options.stds, "%.3f", "--stds");
  check_distinct(options.guidances, "%g", "--guidances");
  validate(options.sampler);
  if (options.seeds.empty() && options.metrics.empty())
    throw UsageError("there is nothing to do: no --seeds and no --metric");
  for (const double guidance : options.guidances)
    if (guidance != 1 && !options.gnet) throw Error("Please specify --gnet when using guidance");
  if (options.metrics.empty()) return;
  EvaluateOptions evaluation;
  evaluation.metrics = options.metrics;
  evaluation.network.emplace();
  evaluation.network->sampling.net = "network";
  evaluation.network->num = options.num;
  evaluation.ref = options.ref;
  evaluation.ref_features = options.ref_features;
  validate(evaluation);
}

std::vector<SweepCell> sweep(const SweepOptions& options, ProcessGroup& group, Progress& progress) {
  validate(options);
  return Sweep(options, group, progress).run();
}

}  // namespace edm2
