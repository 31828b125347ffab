# Finds libtorch without its own TorchConfig.cmake, which demands a CUDA toolkit for CUDA-enabled wheels.
#
# Looked at in this order, first hit wins (for `pip install .`: the torch of the environment that it installs into):
#   1. the torch wheel in the project's virtual environment (.venv, or EDM2_VENV),
#   2. any libtorch under CMAKE_PREFIX_PATH (the unpacked libtorch archive, or a torch package folder),
#   3. the torch of the active Python,
#   4. EDM2_LIBTORCH_HINT: the one that an installed library was built with.
#
# Defines: Libtorch_FOUND, Libtorch_ROOT_DIR, Libtorch_VERSION, imported target Libtorch::Libtorch
# (torch_cpu and c10 only; CUDA is loaded at run time).

set(EDM2_VENV "${PROJECT_SOURCE_DIR}/.venv" CACHE PATH "Virtual environment that holds the torch wheel")

set(_libtorch_candidates "")
if(SKBUILD)
  # pip builds in an environment of its own, which hides that torch from Python, but not from its folder.
  find_package(Python COMPONENTS Interpreter QUIET)
  list(APPEND _libtorch_candidates "${Python_SITEARCH}/torch")
endif()
file(GLOB _libtorch_venv LIST_DIRECTORIES true "${EDM2_VENV}/lib/python3*/site-packages/torch")
list(APPEND _libtorch_candidates ${_libtorch_venv})
set(_libtorch_prefixes ${CMAKE_PREFIX_PATH})
if(DEFINED ENV{CMAKE_PREFIX_PATH})
  string(REPLACE ":" ";" _libtorch_environment "$ENV{CMAKE_PREFIX_PATH}")
  list(APPEND _libtorch_prefixes ${_libtorch_environment})
endif()
foreach(_prefix IN LISTS _libtorch_prefixes)
  list(APPEND _libtorch_candidates "${_prefix}" "${_prefix}/torch" "${_prefix}/libtorch")
endforeach()
find_program(_libtorch_python NAMES python3 python)
if(_libtorch_python)
  execute_process(
    COMMAND ${_libtorch_python} -c
      "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE _libtorch_active OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(_libtorch_active)
    list(APPEND _libtorch_candidates "${_libtorch_active}")
  endif()
endif()

if(EDM2_LIBTORCH_HINT)
  list(APPEND _libtorch_candidates "${EDM2_LIBTORCH_HINT}")
endif()

set(Libtorch_ROOT_DIR "Libtorch_ROOT_DIR-NOTFOUND")
foreach(_candidate IN LISTS _libtorch_candidates)
  if(EXISTS "${_candidate}/lib/libtorch_cpu.so" AND EXISTS "${_candidate}/include/ATen/ATen.h")
    set(Libtorch_ROOT_DIR "${_candidate}")
    break()
  endif()
endforeach()

if(Libtorch_ROOT_DIR)
  # The wheel says its version in version.py, the libtorch archive in build-version.
  if(EXISTS "${Libtorch_ROOT_DIR}/version.py")
    file(STRINGS "${Libtorch_ROOT_DIR}/version.py" _libtorch_line REGEX "^__version__ = ")
  elseif(EXISTS "${Libtorch_ROOT_DIR}/build-version")
    file(STRINGS "${Libtorch_ROOT_DIR}/build-version" _libtorch_line LIMIT_COUNT 1)
  endif()
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" Libtorch_VERSION "${_libtorch_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS Libtorch_ROOT_DIR
  VERSION_VAR Libtorch_VERSION
  REASON_FAILURE_MESSAGE
    "Run ./edm2 once (it installs libtorch into .venv), or: python3 -m venv .venv && .venv/bin/pip install --no-deps torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85, or set CMAKE_PREFIX_PATH to a libtorch.")

if(Libtorch_FOUND AND NOT TARGET Libtorch::Libtorch)
  add_library(Libtorch::c10 SHARED IMPORTED)
  set_target_properties(Libtorch::c10 PROPERTIES IMPORTED_LOCATION "${Libtorch_ROOT_DIR}/lib/libc10.so")
  # OpenMP's library: libtorch's own copy if it has one, so that there are not two pools of threads.
  file(GLOB Libtorch_OPENMP "${Libtorch_ROOT_DIR}/lib/libgomp*.so*")
  list(APPEND Libtorch_OPENMP gomp)
  list(GET Libtorch_OPENMP 0 Libtorch_OPENMP)
  add_library(Libtorch::Libtorch SHARED IMPORTED)
  set_target_properties(Libtorch::Libtorch PROPERTIES
    IMPORTED_LOCATION "${Libtorch_ROOT_DIR}/lib/libtorch_cpu.so"
    INTERFACE_INCLUDE_DIRECTORIES "${Libtorch_ROOT_DIR}/include"
    INTERFACE_LINK_LIBRARIES "Libtorch::c10;${Libtorch_OPENMP}")
endif()

# The CUDA preset wants a libtorch that can use a GPU: the full wheel with its nvidia packages, or an archive with CUDA.
if(Libtorch_FOUND AND EDM2_CUDA AND NOT EXISTS "${Libtorch_ROOT_DIR}/lib/libtorch_cuda.so")
  message(FATAL_ERROR "EDM2_CUDA is on, but the libtorch in ${Libtorch_ROOT_DIR} was built without CUDA; "
    "install one with CUDA (pip install torch==2.11.0) or switch EDM2_CUDA off")
endif()
