# What the Python package needs for the libtorch of this build, in torchX.Y/: the bridge, a shared library with all of
# libedm2 and the program, and a small executable that starts it.
string(REGEX MATCH "^[0-9]+\\.[0-9]+" EDM2_TORCH_MINOR "${Libtorch_VERSION}")
set(EDM2_PARTS_DIR ${PROJECT_BINARY_DIR}/python/torch${EDM2_TORCH_MINOR})

file(GLOB bridge_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/python/*.cpp)
list(FILTER bridge_sources EXCLUDE REGEX "/(front|program_main)\\.cpp$")
add_library(edm2_bridge SHARED ${bridge_sources})
target_link_libraries(edm2_bridge PRIVATE edm2_cli)
target_precompile_headers(edm2_bridge PRIVATE ${PROJECT_SOURCE_DIR}/src/pch.h)
target_link_options(edm2_bridge PRIVATE -Wl,-Bsymbolic-functions -Wl,--no-undefined)
# torch lies beside the package; what else is needed comes from the system, or from auditwheel.
set_target_properties(edm2_bridge PROPERTIES OUTPUT_NAME edm2 LIBRARY_OUTPUT_DIRECTORY ${EDM2_PARTS_DIR}
  BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN/../../torch/lib")

add_executable(edm2_package_program ${PROJECT_SOURCE_DIR}/src/python/program_main.cpp)
target_link_libraries(edm2_package_program PRIVATE ${CMAKE_DL_LIBS})
set_target_properties(edm2_package_program PROPERTIES OUTPUT_NAME edm2 RUNTIME_OUTPUT_DIRECTORY ${EDM2_PARTS_DIR})

add_custom_target(edm2_python_parts DEPENDS edm2_bridge edm2_package_program)
foreach(library IN ITEMS edm2_cuda edm2_cuda_graph edm2_nccl)
  if(TARGET ${library})  # the program looks for it beside itself
    add_dependencies(edm2_python_parts ${library})
    add_custom_command(TARGET edm2_python_parts POST_BUILD
      COMMAND ${CMAKE_COMMAND} -E copy_if_different $<TARGET_FILE:${library}> ${EDM2_PARTS_DIR})
  endif()
endforeach()

install(DIRECTORY ${EDM2_PARTS_DIR} DESTINATION edm2 COMPONENT python USE_SOURCE_PERMISSIONS)
