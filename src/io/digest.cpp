#include "edm2/io/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <vector>

#include "edm2/core/platform.h"

namespace edm2 {
namespace {

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1);
  }
  void update(const void* data, size_t size) {
    check(EVP_DigestUpdate(context_.get(), data, size) == 1);
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
    unsigned int size = 0;
    check(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
      text += digits[bytes[i] >> 4];
      text += digits[bytes[i] & 15];
    }
    return text;
  }

 private:
  static void check(bool done) {
    if (!done) throw std::runtime_error("OpenSSL cannot compute this checksum");
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string md5_hex(std::string_view text) {
  Digest digest(EVP_md5());
  digest.update(text.data(), text.size());
  return digest.hex();
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest(EVP_sha256());
  digest.update(bytes.data(), bytes.size());
  return digest.hex();
}

std::string sha256_of_file(const std::filesystem::path& path) {
  // Not by a mapping: what is mapped of a large file counts as the process's memory.
  const RandomAccessFile file(path);
  const uint64_t size = std::filesystem::file_size(path);
  std::vector<std::byte> buffer(std::min<uint64_t>(size, uint64_t{1} << 20));
  Digest digest(EVP_sha256());
  for (uint64_t at = 0; at < size;) {
    check_interrupt();
    const auto part = std::span(buffer).first(std::min<uint64_t>(size - at, buffer.size()));
    file.read_at(at, part);
    digest.update(part.data(), part.size());
    at += part.size();
  }
  return digest.hex();
}

}  // namespace edm2
