# cmake --install: the program with its models, man page and completions; the library with its headers, a CMake package
# (find_package(edm2), target edm2::edm2) and a pkg-config file.
include(CMakePackageConfigHelpers)

set(EDM2_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/edm2)

# libtorch stays where it is; the program finds it there.
set_target_properties(edm2 PROPERTIES INSTALL_RPATH "${Libtorch_ROOT_DIR}/lib")
install(TARGETS edm2 RUNTIME)
install(TARGETS edm2_lib EXPORT edm2 ARCHIVE)
if(TARGET edm2_cuda)
  install(TARGETS edm2_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET edm2_cuda_graph)
  install(TARGETS edm2_cuda_graph LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET edm2_nccl)
  install(TARGETS edm2_nccl LIBRARY DESTINATION ${CMAKE_INSTALL_BINDIR})  # the program looks beside itself
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/edm2 DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models DESTINATION ${CMAKE_INSTALL_DATADIR}/edm2)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The program writes its man page and completions itself.
install(CODE "
  function(edm2_write folder name)
    set(target \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/\${folder}/\${name}\")
    file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/\${folder}\")
    execute_process(COMMAND \"$<TARGET_FILE:edm2>\" \${ARGN} OUTPUT_FILE \"\${target}\" COMMAND_ERROR_IS_FATAL ANY)
    message(STATUS \"Installing: \${target}\")
  endfunction()
  edm2_write(\"${CMAKE_INSTALL_MANDIR}/man1\" edm2.1 manual --format=man)
  edm2_write(\"${CMAKE_INSTALL_DATADIR}/bash-completion/completions\" edm2 completion bash)
  edm2_write(\"${CMAKE_INSTALL_DATADIR}/zsh/site-functions\" _edm2 completion zsh)
  edm2_write(\"${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d\" edm2.fish completion fish)
")

install(EXPORT edm2 NAMESPACE edm2:: FILE edm2Targets.cmake DESTINATION ${EDM2_CMAKE_DIR})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/edm2Config.cmake.in ${PROJECT_BINARY_DIR}/edm2Config.cmake
  INSTALL_DESTINATION ${EDM2_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/edm2ConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/edm2Config.cmake ${PROJECT_BINARY_DIR}/edm2ConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindLibtorch.cmake ${PROJECT_SOURCE_DIR}/cmake/Dependencies.cmake
  DESTINATION ${EDM2_CMAKE_DIR})

file(RELATIVE_PATH EDM2_PREFIX_FROM_LIBDIR /prefix/${CMAKE_INSTALL_LIBDIR} /prefix)
set(Libtorch_OPENMP_FLAG ${Libtorch_OPENMP})
if(Libtorch_OPENMP STREQUAL "gomp")
  set(Libtorch_OPENMP_FLAG "-lgomp")
endif()
set(EDM2_MORE_PICTURE_PACKAGES "")
foreach(package IN ITEMS libavif libopenjp2)
  string(TOUPPER ${package} name)
  if(${name}_FOUND)
    string(APPEND EDM2_MORE_PICTURE_PACKAGES " ${package}")
  endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/cmake/edm2.pc.in ${PROJECT_BINARY_DIR}/edm2.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/edm2.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
