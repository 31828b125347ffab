#include "support/gzip.h"

#include <zlib.h>

namespace edm2::test {
namespace {

std::string packed(const std::string& text, int level, int window_bits) {
  z_stream stream = {};
  deflateInit2(&stream, level, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string gzipped(const std::string& text) { return packed(text, 1, MAX_WBITS + 16); }
std::string deflated(const std::string& text) { return packed(text, 9, -MAX_WBITS); }

}  // namespace edm2::test
