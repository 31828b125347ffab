#include "io/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "edm2/core/printable.h"
#include "io/code_pages.h"

namespace edm2 {
namespace {

using Handle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

/// What the callbacks of one exchange share.
struct Exchange {
  HttpReceiver& receiver;
  HttpResponse response{};
  bool announced = false;
  std::exception_ptr error{};
  std::chrono::steady_clock::time_point last_arrival = std::chrono::steady_clock::now();

  /// Exceptions must not pass through libcurl.
  template <class Action>
  bool guarded(Action action) {
    last_arrival = std::chrono::steady_clock::now();
    try {
      action();
      return true;
    } catch (...) {
      error = std::current_exception();
      return false;
    }
  }
  void announce() {
    if (announced || (response.status != 200 && response.status != 206)) return;
    announced = true;
    receiver.on_response(response);
  }
};

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// "bytes 100-199/200"
void parse_content_range(std::string_view value, HttpResponse& response) {
  const size_t blank = value.find(' '), dash = value.find('-'), slash = value.find('/');
  if (ascii_lower(value.substr(0, blank)) != "bytes" || dash == std::string_view::npos ||
      slash == std::string_view::npos || dash < blank || slash < dash)
    return;
  response.range_first = parse_number(value.substr(blank + 1, dash - blank - 1));
  response.range_total = parse_number(value.substr(slash + 1));
}

void parse_header(std::string_view line, HttpResponse& response) {
  if (line.starts_with("HTTP/")) {  // the first line of a response, perhaps after a redirect
    response = {};
    const size_t blank = line.find(' ');
    if (blank != std::string_view::npos)
      response.status = static_cast<int>(parse_number(line.substr(blank + 1, 3)).value_or(0));
    // In HTTP/2 and later every body has its end mark.
    response.has_end_mark = !line.starts_with("HTTP/1");
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = ascii_lower(line.substr(0, colon));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "etag") response.etag = value;
  if (name == "last-modified") response.last_modified = value;
  if (name == "date") response.date = value;
  if (name == "content-disposition") response.content_disposition = value;
  if (name == "content-encoding") response.content_encoding = ascii_lower(value);
  if (name == "content-length") response.content_length = parse_number(value);
  if (name == "content-range") parse_content_range(value, response);
  if (name == "transfer-encoding" && ascii_lower(value).ends_with("chunked")) {
    response.has_end_mark = true;
    response.is_chunked = true;
  }
  if (response.is_chunked) response.content_length.reset();  // the chunks decide
}

size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  return exchange.guarded([&] {
    parse_header(trimmed({data, size}), exchange.response);
  })
             ? size
             : 0;
}

size_t on_write(char* data, size_t, size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const bool taken = exchange.guarded([&] {
    exchange.announce();
    if (exchange.announced) exchange.receiver.on_body(std::as_bytes(std::span(data, size)));
  });
  return taken ? size : 0;
}

void set_option(CURL* handle, CURLoption option, auto value) {
  if (curl_easy_setopt(handle, option, value) != CURLE_OK)
    throw std::runtime_error("libcurl does not know the option " + std::to_string(option));
}

/// Certificates of a company's proxy, found as by the program `curl`.
void set_certificates(CURL* handle) {
  for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
    if (const char* file = std::getenv(name); file != nullptr && *file != '\0') {
      set_option(handle, CURLOPT_CAINFO, file);
      return;
    }
}

HeaderList request_headers(const HttpRequest& request) {
  // Compressed bodies could be neither measured nor resumed.
  curl_slist* list = curl_slist_append(nullptr, "Accept-Encoding: identity");
  if (request.offset > 0) list = curl_slist_append(list, ("If-Range: " + request.if_range).c_str());
  return {list, curl_slist_free_all};
}

void set_options(CURL* handle, const HttpRequest& request, const FetchOptions& options,
                 Exchange& exchange, const curl_slist* headers, char* error_text) {
  set_option(handle, CURLOPT_URL, request.url.c_str());
  set_option(handle, CURLOPT_USERAGENT, "edm2/" EDM2_VERSION);
  set_option(handle, CURLOPT_HTTPHEADER, headers);
  if (request.offset > 0)
    set_option(handle, CURLOPT_RANGE, (std::to_string(request.offset) + "-").c_str());
  set_option(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  set_option(handle, CURLOPT_REDIR_PROTOCOLS_STR,
             request.url.starts_with("https:") ? "https" : "http,https");
  set_option(handle, CURLOPT_FOLLOWLOCATION, 1L);
  set_option(handle, CURLOPT_MAXREDIRS, static_cast<long>(options.max_redirects));
  set_option(handle, CURLOPT_FAILONERROR, 1L);
  set_option(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set_option(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout.count()));
  set_option(handle, CURLOPT_LOW_SPEED_LIMIT, 100L);
  set_option(handle, CURLOPT_LOW_SPEED_TIME,
             std::max(1L, static_cast<long>(options.stall_timeout.count() / 1000)));
  set_option(handle, CURLOPT_NOSIGNAL, 1L);
  set_option(handle, CURLOPT_ERRORBUFFER, error_text);
  set_option(handle, CURLOPT_HEADERFUNCTION, on_header);
  set_option(handle, CURLOPT_HEADERDATA, &exchange);
  set_option(handle, CURLOPT_WRITEFUNCTION, on_write);
  set_option(handle, CURLOPT_WRITEDATA, &exchange);
  set_certificates(handle);
}

std::string status_text(int status) {
  constexpr std::pair<int, const char*> meanings[] = {
      {401, "a password is needed"},
      {403, "access is forbidden"},
      {404, "there is no such file; check the address"},
      {407, "the proxy wants a password"},
      {410, "the file is no longer there; check the address"},
      {429, "too many requests"},
      {500, "an error in the server"},
      {502, "the server is not available at the moment"},
      {503, "the server is not available at the moment"},
      {504, "the server is not available at the moment"}};
  std::string text = "the server answers with HTTP status " + std::to_string(status);
  for (const auto& [known, meaning] : meanings)
    if (known == status) text += std::string(" (") + meaning + ")";
  return text;
}

/// Worth another attempt: what a server says when it is in trouble now.
bool is_passing(int status) {
  return status >= 500 || status == 408 || status == 416 || status == 425 || status == 429;
}

HttpFailure describe(CURLcode code, const HttpRequest& request, const FetchOptions& options,
                     const std::string& error_text) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {request.url.starts_with("https:")
                  ? "the server redirects to an address that is not https://"
                  : "the server redirects to an address that is neither http:// nor https://",
              /*is_final=*/true};
    case CURLE_TOO_MANY_REDIRECTS:
      return {"the server redirects more than " + std::to_string(options.max_redirects) + " times",
              true};
    case CURLE_URL_MALFORMAT:
      return {"this is not an address of the web", true};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {"the server's certificate cannot be verified (" + printable(error_text) + ")", true};
    case CURLE_OPERATION_TIMEDOUT:
      return {"the server does not answer or sends too slowly", false};
    case CURLE_GOT_NOTHING:
      return {"the server closed the connection without an answer", false};
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
      return {"the connection broke off", false};
    default: {
      const std::string text = error_text.empty() ? curl_easy_strerror(code) : error_text;
      return {printable(text), false};
    }
  }
}

/// Runs the exchange, looking around ten times a second. (libcurl's own limit on the speed looks at
/// the mean of some seconds, and sees late that nothing comes any more.)
CURLcode perform(CURL* handle, const FetchOptions& options, Exchange& exchange) {
  const std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi(curl_multi_init(),
                                                                    curl_multi_cleanup);
  if (multi == nullptr || curl_multi_add_handle(multi.get(), handle) != CURLM_OK)
    throw std::runtime_error("libcurl cannot be initialized");
  struct Removal {
    CURLM* multi;
    CURL* handle;
    ~Removal() { curl_multi_remove_handle(multi, handle); }
  } const removal{multi.get(), handle};

  for (int running = 1;;) {
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK) return CURLE_FAILED_INIT;
    if (running == 0) break;
    if (std::chrono::steady_clock::now() - exchange.last_arrival > options.stall_timeout)
      return CURLE_OPERATION_TIMEDOUT;
    exchange.receiver.on_tick();
    if (curl_multi_poll(multi.get(), nullptr, 0, /*timeout_ms=*/100, nullptr) != CURLM_OK)
      return CURLE_FAILED_INIT;
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi.get(), &left);
  return message == nullptr ? CURLE_FAILED_INIT : message->data.result;
}

}  // namespace

std::optional<HttpFailure> http_get(const HttpRequest& request, const FetchOptions& options,
                                    HttpReceiver& receiver) {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  const Handle handle(curl_easy_init(), curl_easy_cleanup);
  if (initialized != CURLE_OK || handle == nullptr)
    throw std::runtime_error("libcurl cannot be initialized");
  Exchange exchange{receiver};
  const HeaderList headers = request_headers(request);
  char error_text[CURL_ERROR_SIZE] = "";
  set_options(handle.get(), request, options, exchange, headers.get(), error_text);

  const CURLcode code = perform(handle.get(), options, exchange);
  if (exchange.error) std::rethrow_exception(exchange.error);
  const int status = exchange.response.status;
  if (code == CURLE_HTTP_RETURNED_ERROR || (code == CURLE_OK && status != 200 && status != 206)) {
    HttpFailure failure{status_text(status), !is_passing(status), status};
    curl_off_t pause = 0;
    if (curl_easy_getinfo(handle.get(), CURLINFO_RETRY_AFTER, &pause) == CURLE_OK && pause > 0)
      failure.retry_after = std::chrono::seconds(std::min<curl_off_t>(pause, 86400));
    return failure;
  }
  if (code != CURLE_OK) return describe(code, request, options, error_text);
  exchange.announce();  // an empty body
  return std::nullopt;
}

}  // namespace edm2
