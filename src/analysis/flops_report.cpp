// The report in the original's form.
#include <cstdio>

#include "edm2/analysis/operation_counts.h"
#include "edm2/generate/presets.h"

namespace edm2 {
namespace {

template <class... Values>
std::string line(const char* format, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return std::string(text) + '\n';
}

}  // namespace

std::string flops_report(const NetworkOptions& options) {
  const auto totals = totals_by_name(trace_forward_pass(options).operations);
  int64_t count = 0;
  double flops = 0;
  for (const OperationTotal& total : totals) {
    count += total.count;
    flops += total.flops;
  }
  std::string text = "\n";
  text += line("%-12s%-8.2fM", "Parameters", static_cast<double>(count_parameters(options)) / 1e6);
  text += line("%-12s%-8.2fGflops/sample", "Compute", flops / 1e9);
  text += line("%-12sn/a", "GPU memory");
  text += line("\n%-26s%-7sGflops", "Op", "Count");
  for (const OperationTotal& total : totals)
    text += line("%-26s%-7lld%.2f", total.name.c_str(), static_cast<long long>(total.count),
                 total.flops / 1e9);
  text += line("%-26s%-7lld%.2f\n", "Total", static_cast<long long>(count), flops / 1e9);
  return text;
}

}  // namespace edm2
