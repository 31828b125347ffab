# Everything the library links; versions and reasons are in docs/dependencies.md. Installed, too: the library is static,
# so that what is built on it links the same.
find_package(Libtorch 2.11 REQUIRED)
find_package(Threads REQUIRED)
find_package(PNG REQUIRED)
find_package(JPEG REQUIRED)
find_package(GIF 5.1 REQUIRED)
find_package(TIFF 4.5 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(PkgConfig REQUIRED)
# Without these two AVIF and JPEG 2000 pictures are refused by name.
pkg_check_modules(LIBAVIF IMPORTED_TARGET libavif)
pkg_check_modules(LIBOPENJP2 IMPORTED_TARGET libopenjp2)
foreach(name IN ITEMS LIBAVIF LIBOPENJP2)
  if(${name}_FOUND)  # one file wants its flags, and others could not use the precompiled header with them
    set_target_properties(PkgConfig::${name} PROPERTIES INTERFACE_COMPILE_OPTIONS "" INTERFACE_INCLUDE_DIRECTORIES "")
  endif()
endforeach()
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
set_property(TARGET PkgConfig::UTF8PROC PROPERTY INTERFACE_COMPILE_OPTIONS)  # a definition for DLLs of Windows
pkg_check_modules(LIBWEBP REQUIRED IMPORTED_TARGET libwebp libwebpmux libwebpdemux)
pkg_check_modules(CAIRO REQUIRED IMPORTED_TARGET cairo)
find_package(CURL 7.85 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
