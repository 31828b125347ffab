// Gradients that are not finite: found, counted, told, and handled as the user wants.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "edm2/nn/network.h"
#include "edm2/train/train_options.h"
#include "train/run_log.h"

namespace edm2 {

/// One look at a tensor's elements.
struct TensorMeasure {
  int64_t nonfinite = 0;      ///< NaN or infinite
  double sum_of_squares = 0;  ///< of the others
};

/// Reads the tensor once; the same numbers on any number of threads.
TensorMeasure measure(const Tensor& values);

/// Of every parameter's gradient, in the order of Precond::named_parameters(); parameters without
/// one count as zeros.
std::vector<TensorMeasure> measure_gradients(Precond& network);

class GradientCheck {
 public:
  /// All of them must outlive this.
  GradientCheck(Precond& network, OnNonfinite action, RunLog& log);

  /// To be called when the gradients of the step that begins at cur_nimg images are complete (and
  /// averaged). Says whether optimizer and EMA are to move; the gradients are finite then. Throws
  /// Error if the run is to stop. The first such step is told at once, the others by tell().
  bool check(int64_t cur_nimg);
  /// Of the last check().
  const std::vector<TensorMeasure>& measures() const { return measures_; }

  struct Counts {
    int64_t steps = 0;
    int64_t elements = 0;
  };
  /// Since the last tell().
  const Counts& counts() const { return counts_; }
  /// What tell() and counts() know, for restore() when the run goes on.
  nlohmann::json save() const;
  void restore(const nlohmann::json& saved);
  /// One line for all steps since the last call, if there is something that was not told.
  void tell();

 private:
  std::string affected(const std::vector<int64_t>& elements) const;

  Precond& network_;
  OnNonfinite action_;
  RunLog& log_;
  int64_t size_ = 0;  // elements of all gradients
  std::vector<TensorMeasure> measures_;
  std::vector<int64_t> elements_;  // not finite, by parameter, since the last tell()
  Counts counts_;
  bool told_first_ = false;
  int64_t untold_steps_ = 0;
};

}  // namespace edm2
