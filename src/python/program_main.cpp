// The program of the Python package: the library beside it holds everything.
#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  char own[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", own, sizeof own);
  if (size < 0) return std::perror("Error: cannot find the folder of edm2"), 1;
  const std::string path(own, static_cast<size_t>(size));
  const std::string library = path.substr(0, path.rfind('/') + 1) + "libedm2.so";
  // Global, as if linked: libraries that are loaded on demand take symbols from libtorch.
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL);
  void* const symbol = handle != nullptr ? dlsym(handle, "edm2_program_main") : nullptr;
  if (symbol == nullptr) {
    std::fprintf(stderr, "Error: cannot load edm2: %s\n", dlerror());
    return 1;
  }
  return reinterpret_cast<int (*)(int, const char* const*)>(symbol)(argc, argv);
}
