/// One HTTP exchange by libcurl.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "edm2/io/source.h"

namespace edm2 {

/// What the server says before the body, of the last response in a chain of redirects.
struct HttpResponse {
  int status = 0;
  std::string etag, last_modified, date, content_disposition, content_encoding;
  std::optional<uint64_t> content_length;  ///< of the body
  bool has_end_mark = false;  ///< the protocol shows where the body ends: chunks, HTTP/2 and later
  bool is_chunked = false;
  /// "Content-Range: bytes FIRST-LAST/TOTAL"
  std::optional<uint64_t> range_first, range_total;
};

/// Takes the response. What these functions throw ends the exchange and comes out of http_get().
class HttpReceiver {
 public:
  virtual ~HttpReceiver() = default;
  /// A response with status 200 or 206 begins.
  virtual void on_response(const HttpResponse& response) = 0;
  virtual void on_body(std::span<const std::byte> bytes) = 0;
  /// At least ten times a second, also while nothing arrives.
  virtual void on_tick() = 0;
};

struct HttpRequest {
  std::string url;
  uint64_t offset = 0;     ///< asks for the bytes from here on
  std::string if_range{};  ///< with an offset: only if the file is still this one, else all of it
};

/// Why an exchange failed.
struct HttpFailure {
  std::string reason;                                 ///< completes "cannot download X: "
  bool is_final = false;                              ///< trying again will not help
  int status = 0;                                     ///< of the response, 0 = none
  std::optional<std::chrono::seconds> retry_after{};  ///< the server asks for this pause
};

/// Follows redirects within http and https, from https to https only. Proxies come from the
/// environment, as libcurl does it. Returns none if a whole body with status 200 or 206 arrived.
std::optional<HttpFailure> http_get(const HttpRequest& request, const FetchOptions& options,
                                    HttpReceiver& receiver);

}  // namespace edm2
