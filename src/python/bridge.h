/// What the Python package asks of libedm2, without any type of libtorch or Python.
///
/// The package has two compiled parts. The front (front.cpp) is built once for all versions of
/// Python; the bridge, a shared library with all of libedm2 and the program, once for each version
/// of libtorch. The front loads the bridge that fits the user's torch and meets it in these
/// classes, which must therefore be the same on both sides: raise `bridge_version` with each
/// change.
///
/// Arrays travel as DLPack, so that memory is shared and never copied on the way. Options travel
/// as JSON objects with the program's option names, underscores for dashes. All functions may be
/// called without Python's lock; what they throw is edm2::UsageError, edm2::Error,
/// edm2::Interrupted or std::exception.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

struct DLManagedTensor;

namespace edm2::python {

inline constexpr int bridge_version = 2;

/// Lets go of an array that nobody took.
struct ArrayDeleter {
  void (*release)(DLManagedTensor*) = nullptr;
  void operator()(DLManagedTensor* array) const { release(array); }
};
using Array = std::unique_ptr<DLManagedTensor, ArrayDeleter>;
using NamedArrays = std::vector<std::pair<std::string, Array>>;

/// Where long work reports to; either may be empty. Called by the thread that works.
struct Reporter {
  std::function<void(const std::string& line)> message;
  /// `total` 0: unknown. `done` == `total` ends a piece of work.
  std::function<void(const std::string& title, int64_t done, int64_t total,
                     const std::string& unit)>
      advance;
};

/// Where, how exactly and with what a network computes, as the program's options have it.
struct ComputeOptions {
  std::string device = "auto", precision = "auto", engine = "auto";
  std::optional<std::string> vae;
  bool offline = false;
};

/// What a network takes and gives.
struct NetworkFacts {
  int64_t img_channels = 0, img_resolution = 0, label_dim = 0;
  bool vector_labels = false;
  std::string device;  ///< "cpu", "cuda:0"
};

/// After a step: `denoised` is float32 [N,C,H,W].
using OnStep = std::function<void(int64_t step, int64_t num_steps, double sigma, Array denoised)>;

/// Pictures of one call.
struct Pictures {
  Array images;   ///< uint8 [N,C,H,W]; null if only latents were asked for
  Array latents;  ///< float32 [N,C,H,W]
  Array labels;   ///< float32 [N,K]; null of unconditional networks
};

/// edm2::Sampler.
class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual NetworkFacts facts() const = 0;
  virtual void set_guide(const std::string& gnet, double guidance) = 0;
  /// Options of the solver, "class" and "batch"; others are a UsageError. They stay.
  virtual void set_options(const std::string& json) = 0;
  /// All of them by name, as JSON.
  virtual std::string options() const = 0;
  /// `labels`: [N,K] or [K], instead of classes; may be null.
  virtual Pictures generate(const std::vector<int64_t>& seeds, const std::string& options_json,
                            Array labels, bool decode, const OnStep& on_step) = 0;
  /// Latents [N,C,H,W] to pictures, uint8 [N,C,H',W'].
  virtual Array decode(Array latents) = 0;
};

/// D(x; sigma).
class Denoiser {
 public:
  virtual ~Denoiser() = default;
  virtual NetworkFacts facts() const = 0;
  /// x: [N,C,H,W]; sigma: [N] or []; labels: [N,K] or null. Returns float32 [N,C,H,W].
  virtual Array denoise(Array x, Array sigma, Array labels) = 0;
};

/// edm2::PowerFunctionEma.
class Ema {
 public:
  virtual ~Ema() = default;
  virtual void update(NamedArrays weights, int64_t nimg, int64_t batch) = 0;
  virtual void copy_buffers(NamedArrays weights) = 0;
  /// The averages of width number i, which share the memory that update() writes.
  virtual NamedArrays weights(size_t i) const = 0;
  /// Writes PREFIX-KIMG-STD.safetensors for each width; returns the paths.
  virtual std::vector<std::string> save(const std::string& folder, int64_t nimg,
                                        const std::string& prefix) const = 0;
  virtual void load(std::vector<double> stds, std::vector<NamedArrays> weights) = 0;
  virtual std::vector<double> stds() const = 0;
};

/// A stored average of a run.
struct SnapshotFact {
  std::string file_name;
  int64_t nimg = 0;
  double std = 0;
};

/// edm2::Snapshots.
class Snapshots {
 public:
  virtual ~Snapshots() = default;
  virtual std::vector<SnapshotFact> files() const = 0;
  virtual std::vector<std::string> notes() const = 0;
  virtual NamedArrays reconstruct(double std, std::optional<int64_t> nimg) = 0;
  /// Coefficient of each file up to that time, and the relative error of the profile.
  virtual std::pair<std::vector<double>, double> solve(double std, std::optional<int64_t> nimg) = 0;
};

/// edm2::Detector.
class Detector {
 public:
  virtual ~Detector() = default;
  virtual std::string name() const = 0;
  virtual int64_t feature_dim() const = 0;
  /// uint8 [N,3,H,W] -> float32 [N,D].
  virtual Array features(Array pixels) const = 0;
};

/// edm2::PictureSet: pictures of one size in a folder, archive or array file.
class PictureSet {
 public:
  virtual ~PictureSet() = default;
  virtual int64_t size() const = 0;
  /// uint8 [3,H,W].
  virtual Array picture(int64_t index) const = 0;
  virtual std::vector<std::string> notes() const = 0;
};

/// A value and what it is to be taken with.
struct Scored {
  double value = 0, deviation = 0;
};

/// Mean [D] and covariance [D,D], float64.
struct Statistics {
  std::string name;  ///< "fid", "fd_dinov2"
  Array mu, sigma;
};

/// edm2::ImageDataset.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual std::vector<int64_t> image_shape() const = 0;
  virtual int64_t label_dim() const = 0;
  virtual std::string label_kind() const = 0;  ///< "none", "classes", "vectors"
  virtual std::vector<std::string> notes() const = 0;
  /// Image uint8 or float32 [C,H,W]; label float32 [label_dim], null without labels.
  virtual std::pair<Array, Array> item(int64_t index) const = 0;
  virtual std::string item_name(int64_t index) const = 0;
};

/// How a command of the program ended.
struct CommandEnd {
  int code = 0;         ///< 0 done, 1 failed, 2 wrong usage, 75 suspended, 128 + N signal N
  std::string message;  ///< the sentence, without "Error: "
};

/// An option of a command, without dashes in front; `takes_value` is false for switches.
struct CommandOption {
  std::string name;
  bool takes_value = false;
};

/// Everything else, one object for each loaded bridge.
class Bridge {
 public:
  virtual ~Bridge() = default;
  /// edm2's version, and that of the libtorch that it was built with.
  virtual std::string version() const = 0;
  virtual std::string built_for_torch() const = 0;
  /// Where the program's file lies: beside it are the models and libraries that it loads on demand.
  virtual void set_program_file(const std::string& path) = 0;
  virtual void release(DLManagedTensor* array) const = 0;

  virtual std::unique_ptr<Sampler> sampler(const std::string& request_json,
                                           const ComputeOptions& compute,
                                           const Reporter& reporter) = 0;
  virtual std::unique_ptr<Denoiser> denoiser(const std::string& source,
                                             const ComputeOptions& compute,
                                             const Reporter& reporter) = 0;
  /// Sampling options as a JSON list: "name", "type", "default", "help", ...
  virtual std::string sampling_options() const = 0;
  virtual std::string presets() const = 0;  ///< JSON

  virtual std::unique_ptr<Ema> ema(NamedArrays weights, std::vector<double> stds,
                                   std::vector<std::string> buffers) = 0;
  virtual std::unique_ptr<Snapshots> snapshots(const std::string& folder,
                                               std::optional<std::string> prefix) = 0;
  virtual double std_to_exp(double std) const = 0;
  virtual double exp_to_std(double exponent) const = 0;
  virtual double power_function_beta(double std, int64_t t_next, int64_t t_delta) const = 0;

  /// `kind`: "inception" or "dinov2"; `weights`: path or address, "" for the customary one.
  virtual std::unique_ptr<Detector> detector(const std::string& kind, const std::string& weights,
                                             const ComputeOptions& compute,
                                             const Reporter& reporter) = 0;
  virtual std::unique_ptr<PictureSet> pictures(const std::string& path,
                                               std::optional<int64_t> max_size, int64_t seed) = 0;
  /// features [N,D] -> mu, sigma; the name is "".
  virtual Statistics statistics(Array features) const = 0;
  virtual std::pair<std::vector<Statistics>, std::optional<int64_t>> load_statistics(
      const std::string& path) const = 0;
  virtual void save_statistics(const std::string& path, std::vector<Statistics> statistics,
                               std::optional<int64_t> num_images) const = 0;
  virtual double frechet_distance(Statistics a, Statistics b) const = 0;
  virtual Scored kernel_distance(Array x, Array y, int64_t subsets, int64_t subset_size,
                                 int64_t seed) const = 0;
  /// "precision", "recall", "density", "coverage": value and standard error.
  virtual std::vector<std::pair<std::string, Scored>> manifold_scores(
      Array generated, Array real, int64_t neighbors, int64_t density_neighbors) const = 0;
  virtual NamedArrays load_features(const std::string& path) const = 0;

  virtual std::unique_ptr<Dataset> dataset(const std::string& path, bool use_labels,
                                           std::optional<int64_t> max_size, bool xflip,
                                           int64_t seed) = 0;
  virtual std::string info(const std::string& path, bool layers, bool values, bool offline) = 0;

  /// Runs a command line (without the program's name). What it prints goes to `print`: fd 1 or 2.
  virtual CommandEnd run(const std::vector<std::string>& words,
                         const std::function<void(int fd, const std::string& text)>& print) = 0;
  /// The long options of a command: {"train"} -> {{"outdir", true}, ...}. Throws UsageError if
  /// there is no such command.
  virtual std::vector<CommandOption> command_options(const std::vector<std::string>& command) = 0;

  /// From now on, and until end_interrupts(), Ctrl-C (and SIGTERM, SIGUSR1 if `all`) is a request
  /// that long work looks at, instead of what Python does with it. Only for the main thread.
  virtual void begin_interrupts(bool all) = 0;
  /// Puts back what was before. Returns the signal that has arrived, or 0.
  virtual int end_interrupts() = 0;
};

}  // namespace edm2::python

/// The bridge of this library; null if it has another version. It lives as long as the library.
extern "C" edm2::python::Bridge* edm2_python_bridge(int version);
/// The whole program, for the small executable beside the library.
extern "C" int edm2_program_main(int argc, const char* const* argv);
