# Flags every target of the project shares (they must agree for the precompiled header to be reusable).
add_library(edm2_compile_settings INTERFACE)
target_compile_options(edm2_compile_settings INTERFACE -Wall -Wextra -Wpedantic -Wshadow=local -Wnon-virtual-dtor)
if(EDM2_WARNINGS_AS_ERRORS)
  target_compile_options(edm2_compile_settings INTERFACE -Werror)
endif()
# Fused multiply-adds would change the last bit of float32 results between machines.
target_compile_options(edm2_compile_settings INTERFACE -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Functions of a shared library are called directly there, as in the program.
  target_compile_options(edm2_compile_settings INTERFACE -fno-semantic-interposition)
  # False positives of GCC 12's flow analysis inside inlined std::vector / c10::SmallVector code.
  target_compile_options(edm2_compile_settings INTERFACE -Wno-maybe-uninitialized -Wno-array-bounds
    -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict)
endif()

if(EDM2_SANITIZE)
  target_compile_options(edm2_compile_settings INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  # libtorch's vtables carry no UBSan type information.
  target_compile_options(edm2_compile_settings INTERFACE -fno-sanitize=vptr)
  target_compile_definitions(edm2_compile_settings INTERFACE _GLIBCXX_ASSERTIONS)
  target_link_options(edm2_compile_settings INTERFACE -fsanitize=address,undefined)
endif()

# ccache makes a second build (another worktree, CI on the same machine) nearly free.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
  set(CMAKE_PCH_INSTANTIATE_TEMPLATES OFF)
  target_compile_options(edm2_compile_settings INTERFACE -fpch-preprocess)
endif()
