/// What libedm2 throws and reports, as the front wants it.
#pragma once

#include <c10/util/Exception.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "edm2/core/progress.h"
#include "python/bridge.h"

namespace edm2::python {

/// Calls `work`; errors of libtorch become std::runtime_error with their first line.
template <class Work>
auto translated(Work&& work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    throw std::runtime_error(text.substr(0, text.find('\n')));
  }
}

/// Passes on to the caller's functions.
std::shared_ptr<Progress> make_reporting_progress(const Reporter& reporter);

}  // namespace edm2::python
