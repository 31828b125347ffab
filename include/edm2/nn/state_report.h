/// How well a set of tensors fits a network: what is missing, unknown, or of another shape.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/core/tensor.h"
#include "edm2/nn/network_options.h"

namespace edm2 {

/// Comparison of tensors with the state layout of a network.
struct StateReport {
  /// Shapes as text, such as "[16, 4, 3, 3]"; empty where there is no tensor.
  struct Row {
    std::string name;
    std::string expected;
    std::string found;
  };
  std::vector<Row> missing;     ///< the network has them, the file has not
  std::vector<Row> unexpected;  ///< the file has them, the network has not
  std::vector<Row> unfitting;   ///< another shape, or no floating-point numbers

  bool matches() const { return missing.empty() && unexpected.empty() && unfitting.empty(); }
  /// One sentence that names the first few of each kind; empty if all matches.
  std::string sentence() const;
  /// One line per tensor that does not match, under a heading; long tables are cut.
  std::string table() const;
};

/// Compares names and shapes; `tensors` may be in any order. Throws Error: a name that stands
/// twice, options that no network can have.
StateReport compare_state(const NetworkOptions& options, const StateDict& tensors);

/// Tensors that do not fit their network; what() is the report's sentence.
class StateMismatch : public Error {
 public:
  StateMismatch(const std::string& message, StateReport report)
      : Error(message), report_(std::move(report)) {}
  const StateReport& report() const { return report_; }

 private:
  StateReport report_;
};

/// A name out of a file for a message: not too long, and without control characters.
std::string printable_name(std::string_view name);

/// "[16, 4, 3, 3]"
std::string shape_text(at::IntArrayRef shape);

}  // namespace edm2
