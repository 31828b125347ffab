#include "support/call_recorder.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <sys/file.h>

#include <filesystem>
#include <mutex>
#include <utility>

namespace {

std::mutex recorder_mutex;
edm2::test::RecordedCalls recorded_calls;

}  // namespace

namespace edm2::test {

RecordedCalls take_recorded_calls() {
  const std::lock_guard lock(recorder_mutex);
  return std::exchange(recorded_calls, {});
}

}  // namespace edm2::test

// These take the place of the libraries' functions in a test program, and call them.

extern "C" int EVP_DigestFinal_ex(EVP_MD_CTX* context, unsigned char* bytes, unsigned int* size) {
  static const auto next =
      reinterpret_cast<decltype(&EVP_DigestFinal_ex)>(dlsym(RTLD_NEXT, "EVP_DigestFinal_ex"));
  const int done = next(context, bytes, size);
  std::string hex;
  for (unsigned int i = 0; size != nullptr && i < *size; ++i) {
    constexpr char digits[] = "0123456789abcdef";
    hex += digits[bytes[i] >> 4];
    hex += digits[bytes[i] & 15];
  }
  const std::lock_guard lock(recorder_mutex);
  ++recorded_calls.digests[hex];
  return done;
}

extern "C" int flock(int descriptor, int operation) noexcept {
  static const auto next = reinterpret_cast<decltype(&flock)>(dlsym(RTLD_NEXT, "flock"));
  const int result = next(descriptor, operation);
  std::error_code ignored;
  const auto path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor), ignored);
  const std::lock_guard lock(recorder_mutex);
  if (result == 0) ++recorded_calls.locks[path.string()];
  return result;
}
