#include "edm2/io/event_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>

#include "edm2/core/error.h"

namespace edm2 {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view name_begin = "events.out.tfevents.";

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82f63b78u : 0u);
    table[i] = value;
  }
  return table;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
  return bytes;
}

/// A message of Protocol Buffers under construction.
class Message {
 public:
  Message& integer(int field, int64_t value) {
    key(field, 0);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, double value) {
    key(field, 1);
    bytes_ += little_endian(std::bit_cast<uint64_t>(value));
    return *this;
  }
  Message& number(int field, float value) {
    key(field, 5);
    bytes_ += little_endian(std::bit_cast<uint32_t>(value));
    return *this;
  }
  Message& text(int field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(int field, int wire_type) { varint(static_cast<uint64_t>(field << 3 | wire_type)); }
  void varint(uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

Message event(int64_t step, double wall_time) {
  return Message().number(1, wall_time).integer(2, step);
}

/// Seconds in the name of an event file of ours or of others; -1 for other files.
int64_t seconds_of(const std::string& name) {
  if (!name.starts_with(name_begin)) return -1;
  int64_t seconds = 0;
  for (size_t i = name_begin.size(); i < name.size() && name[i] >= '0' && name[i] <= '9'; ++i)
    seconds = std::min<int64_t>(10 * seconds + (name[i] - '0'), 9'999'999'998);
  return seconds;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto table = make_crc_table();
  uint32_t value = ~0u;
  for (const char c : bytes) value = value >> 8 ^ table[(value ^ static_cast<uint8_t>(c)) & 255];
  return ~value;
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

EventFile::EventFile(const fs::path& folder, int64_t first_step, double wall_time) {
  auto seconds = static_cast<int64_t>(wall_time);
  std::error_code missing;  // shows when the file is opened
  for (const auto& entry : fs::directory_iterator(folder, missing))
    seconds = std::max(seconds, seconds_of(entry.path().filename().string()) + 1);
  char name[32];
  std::snprintf(name, sizeof name, "%010lld.edm2", static_cast<long long>(seconds));
  path_ = folder / (std::string(name_begin) + name);
  file_.open(path_, std::ios::binary);
  add_record(event(0, wall_time).text(3, "brain.Event:2").bytes());
  constexpr int session_log = 7, status = 1, start = 1;
  add_record(
      event(first_step, wall_time).message(session_log, Message().integer(status, start)).bytes());
  flush();
}

void EventFile::add_record(const std::string& event) {
  const std::string length = little_endian(static_cast<uint64_t>(event.size()));
  file_ << length << little_endian(masked_crc32c(length)) << event
        << little_endian(masked_crc32c(event));
}

void EventFile::add_scalars(int64_t step, double wall_time,
                            const std::vector<std::pair<std::string, double>>& values) {
  Message summary;
  for (const auto& [tag, value] : values)
    summary.message(1, Message().text(1, tag).number(2, static_cast<float>(value)));
  add_record(event(step, wall_time).message(5, summary).bytes());
}

void EventFile::add_image(int64_t step, double wall_time, const std::string& tag,
                          const Image& image, std::span<const std::byte> png) {
  const Message picture = Message()
                              .integer(1, image.height)
                              .integer(2, image.width)
                              .integer(3, image.channels)
                              .text(4, {reinterpret_cast<const char*>(png.data()), png.size()});
  const Message value = Message().text(1, tag).message(4, picture);
  add_record(event(step, wall_time).message(5, Message().message(1, value)).bytes());
}

void EventFile::flush() {
  if (!file_.flush())
    throw Error("cannot write '" + path_.string() +
                "'; is the disk full, or the folder read-only?");
}

}  // namespace edm2
