// A web server on this machine that misbehaves as tests ask it to.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace edm2::test {

struct ServerRequest {
  std::string target;  ///< "/net.pkl"; the whole address if asked as a proxy
  std::map<std::string, std::string> headers;  ///< names in lower case
  bool has(const std::string& name) const { return headers.count(name) != 0; }
};

/// The connection of one request. It is closed after the answer.
class ServerConnection {
 public:
  explicit ServerConnection(int socket) : socket_(socket) {}
  /// Ignores that the other side may be gone.
  void send(std::string_view text);
  /// Ends the connection as a crash would (RST).
  void reset();
  /// Sends nothing more, until the other side or the server ends the connection.
  void stall();

 private:
  int socket_;
};

using Answer = std::function<void(const ServerRequest&, ServerConnection&)>;

/// What a well-behaved server does with a file, and where it stops doing so.
struct ServedFile {
  std::string body;
  std::string etag = "\"v1\"";             ///< "" = none
  std::string headers = {};                ///< further ones, each with "\r\n"
  bool ranges = true;                      ///< false: answers Range with the whole file
  std::optional<std::string> length = {};  ///< Content-Length instead of the true one; "" none
  std::optional<size_t> cut_after = {};    ///< ends the connection after so many body bytes
  bool stall_after_cut = false;            ///< falls silent there instead
  bool chunked = false;
};
Answer serve(ServedFile file);
/// A response without body.
Answer status(int code, const std::string& headers = "");
Answer redirect(const std::string& location);

/// Listens on a free port of 127.0.0.1. The first request gets the first answer and so on; the last
/// answer is repeated. Several requests are served at once.
class HttpServer {
 public:
  explicit HttpServer(std::vector<Answer> answers);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string url(const std::string& name) const { return address() + "/" + name; }
  /// Requests so far.
  std::vector<ServerRequest> requests() const;
  size_t count() const { return requests().size(); }

 private:
  void accept_connections();
  void serve_connection(int socket);

  std::vector<Answer> answers_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> ending_ = false;
  mutable std::mutex mutex_;
  std::vector<ServerRequest> requests_;
  std::vector<int> sockets_;  ///< open ones
  std::thread acceptor_;
  std::vector<std::thread> servers_;  ///< one each connection
};

}  // namespace edm2::test
