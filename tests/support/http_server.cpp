#include "support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <sstream>
#include <stdexcept>

namespace edm2::test {
namespace {

/// Everything up to the empty line; empty if the other side went away before it.
std::string read_head(int socket) {
  std::string text;
  char c = 0;
  while (!text.ends_with("\r\n\r\n")) {
    const ssize_t count = recv(socket, &c, 1, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return "";
    text += c;
  }
  return text;
}

ServerRequest parse(const std::string& head) {
  ServerRequest request;
  std::istringstream lines(head);
  std::string line, method;
  std::getline(lines, line);
  std::istringstream(line) >> method >> request.target;
  while (std::getline(lines, line) && line != "\r") {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const size_t begin = line.find_first_not_of(' ', colon + 1);
    request.headers[name] = line.substr(begin, line.find_last_not_of("\r ") - begin + 1);
  }
  return request;
}

/// First byte asked for: of "bytes=100-", if the file is still the one that the request means.
size_t first_byte(const ServerRequest& request, const ServedFile& file) {
  if (!file.ranges || !request.has("range")) return 0;
  if (request.has("if-range") && request.headers.at("if-range") != file.etag &&
      file.headers.find("Last-Modified: " + request.headers.at("if-range")) == std::string::npos)
    return 0;
  return static_cast<size_t>(std::stoull(request.headers.at("range").substr(6)));
}

std::string in_chunks(const std::string& body) {
  std::ostringstream text;
  for (size_t i = 0; i < body.size(); i += 1000) {
    const std::string chunk = body.substr(i, 1000);
    text << std::hex << chunk.size() << "\r\n" << chunk << "\r\n";
  }
  text << "0\r\n\r\n";
  return text.str();
}

std::string head_of(const ServedFile& file, size_t first) {
  std::ostringstream head;
  const size_t total = file.body.size();
  head << (first > 0 ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n");
  if (first > 0)
    head << "Content-Range: bytes " << first << "-" << total - 1 << "/" << total << "\r\n";
  if (!file.etag.empty()) head << "ETag: " << file.etag << "\r\n";
  const std::string length = file.length.value_or(std::to_string(total - first));
  if (file.chunked)
    head << "Transfer-Encoding: chunked\r\n";
  else if (!length.empty())
    head << "Content-Length: " << length << "\r\n";
  head << file.headers << "Connection: close\r\n\r\n";
  return head.str();
}

}  // namespace

void ServerConnection::send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.remove_prefix(static_cast<size_t>(count));
  }
}

void ServerConnection::reset() {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void ServerConnection::stall() {
  char c = 0;
  while (recv(socket_, &c, 1, 0) > 0) {
  }
}

Answer serve(ServedFile file) {
  return [file = std::move(file)](const ServerRequest& request, ServerConnection& connection) {
    const size_t first = first_byte(request, file);
    if (first > 0 && first >= file.body.size()) {
      connection.send("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */" +
                      std::to_string(file.body.size()) +
                      "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    std::string body = file.body.substr(first);
    if (file.chunked) body = in_chunks(body);
    connection.send(head_of(file, first));
    connection.send(std::string_view(body).substr(0, file.cut_after.value_or(body.size())));
    if (file.stall_after_cut) connection.stall();
  };
}

Answer status(int code, const std::string& headers) {
  return [=](const ServerRequest&, ServerConnection& connection) {
    connection.send("HTTP/1.1 " + std::to_string(code) + " As asked\r\n" + headers +
                    "Content-Length: 9\r\nConnection: close\r\n\r\nnot this\n");
  };
}

Answer redirect(const std::string& location) {
  return status(302, "Location: " + location + "\r\n");
}

HttpServer::HttpServer(std::vector<Answer> answers) : answers_(std::move(answers)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name = {};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&name), size) != 0 ||
      listen(listener_, 16) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&name), &size) != 0)
    throw std::runtime_error("the test's web server cannot listen");
  port_ = ntohs(name.sin_port);
  acceptor_ = std::thread([this] { accept_connections(); });
}

HttpServer::~HttpServer() {
  ending_ = true;
  shutdown(listener_, SHUT_RDWR);  // wakes the one who waits for connections
  acceptor_.join();                // no more connections from now on
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& server : servers_) server.join();
  close(listener_);
}

std::vector<ServerRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::accept_connections() {
  while (!ending_) {
    pollfd waiting = {listener_, POLLIN, 0};
    if (poll(&waiting, 1, 20) <= 0) continue;
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    const std::lock_guard lock(mutex_);
    sockets_.push_back(socket);
    servers_.emplace_back([this, socket] { serve_connection(socket); });
  }
}

void HttpServer::serve_connection(int socket) {
  const std::string head = read_head(socket);
  if (!head.empty()) {
    const ServerRequest request = parse(head);
    size_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = requests_.size();
      requests_.push_back(request);
    }
    ServerConnection connection(socket);
    answers_[std::min(number, answers_.size() - 1)](request, connection);
  }
  const std::lock_guard lock(mutex_);
  sockets_.erase(std::find(sockets_.begin(), sockets_.end(), socket));
  close(socket);
}

}  // namespace edm2::test
