// Operators of libtorch that have no C++ function of their own.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <initializer_list>
#include <optional>

#include "edm2/core/tensor.h"

namespace edm2 {

/// Nothing if this libtorch lacks it.
inline std::optional<c10::OperatorHandle> find_operator(const char* name,
                                                        const char* overload = "") {
  return c10::Dispatcher::singleton().findSchema({name, overload});
}

inline c10::IValue call(const c10::OperatorHandle& op,
                        std::initializer_list<c10::IValue> arguments) {
  torch::jit::Stack stack(arguments);
  op.callBoxed(stack);
  return stack.front();
}

}  // namespace edm2
