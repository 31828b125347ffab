/// How the front calls the bridge: arrays in capsules, Python functions as callbacks, Ctrl-C.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>

#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "edm2/core/error.h"
#include "python/bridge.h"

namespace nb = nanobind;

namespace edm2::python {

inline Bridge* the_bridge = nullptr;  // loaded libraries stay, and so does this

inline void release_array(DLManagedTensor* array) { the_bridge->release(array); }

/// Lets go of an array that nobody took out of its capsule.
inline void release_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, "dltensor") != 0)
    release_array(static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor")));
}

}  // namespace edm2::python

namespace nanobind::detail {

/// Takes the array out of a capsule, or makes a new capsule; None is no array.
template <>
struct type_caster<edm2::python::Array> {
  using Array = edm2::python::Array;
  NB_TYPE_CASTER(Array, const_name("object"))

  bool from_python(handle source, uint32_t, cleanup_list*) noexcept {
    value.reset();
    if (source.is_none()) return true;
    void* const array = PyCapsule_GetPointer(source.ptr(), "dltensor");
    if (array == nullptr || PyCapsule_SetName(source.ptr(), "used_dltensor") != 0) {
      PyErr_Clear();
      return false;
    }
    value = Array(static_cast<DLManagedTensor*>(array), {edm2::python::release_array});
    return true;
  }

  static handle from_cpp(Array array, rv_policy, cleanup_list*) noexcept {
    if (!array) return none().release();
    PyObject* const capsule = PyCapsule_New(array.get(), "dltensor", edm2::python::release_capsule);
    if (capsule != nullptr) array.release();
    return capsule;
  }
};

}  // namespace nanobind::detail

namespace edm2::python {

[[noreturn]] inline void raise_keyboard_interrupt() {
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  throw nb::python_error();
}

inline nb::str to_str(const std::string& text) {
  PyObject* const decoded =
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (decoded == nullptr) throw nb::python_error();
  return nb::steal<nb::str>(decoded);
}

inline bool in_main_thread() {
  const nb::module_ threading = nb::module_::import_("threading");
  return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

/// While it lives, Ctrl-C is a request that long work of the main thread looks at. Does nothing in
/// other threads, and within another scope.
class InterruptScope {
 public:
  explicit InterruptScope(bool all) : all_(all) {
    if (current != nullptr || !in_main_thread()) return;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();  // what came before the work
    begin();
  }
  ~InterruptScope() { end(); }
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  /// Returns the signal that arrived, or 0.
  int end() {
    if (current == this) {
      if (const int arrived = the_bridge->end_interrupts(); arrived != 0) signal_ = arrived;
      current = nullptr;
    }
    return signal_;
  }

  /// Of this thread, or null.
  static InterruptScope* of_thread() { return current; }
  bool all() const { return all_; }
  int signal() const { return signal_; }
  void begin() {
    the_bridge->begin_interrupts(all_);
    current = this;
  }

 private:
  static inline thread_local InterruptScope* current = nullptr;

  bool all_;
  int signal_ = 0;
};

/// While it lives, which is while Python code runs within the work, Ctrl-C is Python's again.
/// Commands (`all`) keep theirs, because they only print.
class PythonsInterrupts {
 public:
  PythonsInterrupts() : scope_(InterruptScope::of_thread()) {
    if (scope_ != nullptr && scope_->all()) scope_ = nullptr;
    if (scope_ == nullptr) return;
    if (const int arrived = scope_->end(); arrived != 0) {
      scope_->begin();
      throw edm2::Interrupted(arrived);
    }
  }
  ~PythonsInterrupts() {
    if (scope_ != nullptr) scope_->begin();
  }
  PythonsInterrupts(const PythonsInterrupts&) = delete;
  PythonsInterrupts& operator=(const PythonsInterrupts&) = delete;

 private:
  InterruptScope* scope_;
};

/// The way of the bridge's threads into Python functions. What these raise ends the work as if it
/// had been interrupted, because the bridge knows what to do then, and comes out as itself.
class Callbacks {
 public:
  /// Calls `function` with Python's lock.
  template <class Function>
  void call(const Function& function) {
    const PythonsInterrupts pythons;
    if (!call_quietly(function)) throw edm2::Interrupted(SIGINT);
  }

  /// For those who must not throw: false if `function`, or one before it, has failed.
  template <class Function>
  bool call_quietly(const Function& function) {
    if (const std::lock_guard lock(mutex_); failure_) return false;
    const nb::gil_scoped_acquire lock;
    if (!lock.is_valid()) return false;
    try {
      function();
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
      return true;
    } catch (...) {
      const std::lock_guard failure_lock(mutex_);
      failure_ = std::current_exception();
      return false;
    }
  }

  /// Throws what a function has raised, and forgets it.
  void rethrow() {
    std::exception_ptr failure;
    {
      const std::lock_guard lock(mutex_);
      std::swap(failure, failure_);
    }
    if (failure) std::rethrow_exception(failure);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr failure_;
};

/// Calls into the bridge without Python's lock.
template <class Body>
auto work(Callbacks* callbacks, bool all, Body&& body) {
  using Result = std::invoke_result_t<Body>;
  constexpr bool gives = !std::is_void_v<Result>;
  std::optional<std::conditional_t<gives, Result, bool>> result;
  std::exception_ptr thrown;
  InterruptScope interrupts(all);
  {
    const nb::gil_scoped_release unlocked;
    try {
      if constexpr (gives)
        result.emplace(body());
      else
        body();
    } catch (...) {
      thrown = std::current_exception();
    }
  }
  const int signal = interrupts.end();
  if (callbacks != nullptr) callbacks->rethrow();
  if (thrown) std::rethrow_exception(thrown);
  if (signal == SIGINT) raise_keyboard_interrupt();
  if constexpr (gives) return std::move(*result);
}

template <class Body>
auto work(Body&& body) {
  return work(nullptr, false, std::forward<Body>(body));
}

/// What edm2 throws, as the package's exceptions.
inline void translate(const std::exception_ptr& thrown, void*) {
  const auto raise = [](const char* name, const std::exception& error) {
    const nb::object type = nb::module_::import_("edm2.errors").attr(name);
    PyErr_SetObject(type.ptr(), to_str(error.what()).ptr());
  };
  try {
    std::rethrow_exception(thrown);
  } catch (const edm2::UsageError& error) {
    raise("UsageError", error);
  } catch (const edm2::Error& error) {
    raise("Error", error);
  } catch (const edm2::Interrupted&) {
    PyErr_SetNone(PyExc_KeyboardInterrupt);
  }
}

// ---- Functions of Python

using PythonMessage = std::function<void(const nb::str& line)>;
using PythonAdvance =
    std::function<void(const nb::str& title, int64_t done, int64_t total, const nb::str& unit)>;
using PythonStep =
    std::function<void(int64_t step, int64_t num_steps, double sigma, const nb::object& denoised)>;
using PythonPrint = std::function<void(int fd, const nb::bytes& text)>;

inline Reporter make_reporter(const PythonMessage& message, const PythonAdvance& advance,
                              const std::shared_ptr<Callbacks>& callbacks) {
  Reporter reporter;
  if (message)
    reporter.message = [message, callbacks](const std::string& line) {
      callbacks->call([&] { message(to_str(line)); });
    };
  if (advance)
    reporter.advance = [advance, callbacks](const std::string& title, int64_t done, int64_t total,
                                            const std::string& unit) {
      callbacks->call([&] { advance(to_str(title), done, total, to_str(unit)); });
    };
  return reporter;
}

inline OnStep make_on_step(const PythonStep& on_step, Callbacks& callbacks) {
  if (!on_step) return {};
  return [&](int64_t step, int64_t num_steps, double sigma, Array denoised) {
    callbacks.call([&] { on_step(step, num_steps, sigma, nb::cast(std::move(denoised))); });
  };
}

/// Printing ends the work by a signal of its own, since streams swallow what is thrown in them.
inline auto make_print(const PythonPrint& print, Callbacks& callbacks) {
  return [&, told = false](int fd, const std::string& text) mutable {
    if (callbacks.call_quietly([&] { print(fd, nb::bytes(text.data(), text.size())); })) return;
    if (InterruptScope::of_thread() != nullptr && !std::exchange(told, true)) std::raise(SIGINT);
  };
}

/// An object of the bridge that goes on reporting to Python.
template <class Object>
struct Reporting {
  std::shared_ptr<Callbacks> callbacks = std::make_shared<Callbacks>();
  std::unique_ptr<Object> object = nullptr;

  template <class Body>
  auto work(Body&& body) {
    return python::work(callbacks.get(), false, std::forward<Body>(body));
  }
};

}  // namespace edm2::python
