#include "io/pickle_machine.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <iterator>

#include "io/foreign_content.h"
#include "io/pickle_opcodes.h"

namespace edm2::detail {
namespace {

constexpr size_t longest_integer = 4096;  // bytes

[[noreturn]] void truncated() { throw Error("the data end too early (a truncated file?)"); }

}  // namespace

PickleValue PickleMachine::run() {
  try {
    for (;;) {
      const auto code = take_integer<uint8_t>();
      context_.spend_operations(1);
      if (code == op::stop) return pop();
      step(code);
    }
  } catch (const Error& error) {
    throw Error(std::string(error.what()) + " (byte " + std::to_string(position_) +
                " of the pickle)");
  }
}

// ---- Input

std::string_view PickleMachine::take(uint64_t count) {
  if (count > data_.size() - position_) truncated();
  const auto* begin = reinterpret_cast<const char*>(data_.data()) + position_;
  position_ += count;
  return {begin, static_cast<size_t>(count)};
}

SharedBytes PickleMachine::take_bytes(uint64_t count) {
  take(count);
  return data_.part(position_ - count, count);
}

std::string_view PickleMachine::take_line(size_t longest) {
  const size_t limit = std::min(data_.size() - position_, longest);
  const auto* begin = reinterpret_cast<const char*>(data_.data()) + position_;
  const auto* end = static_cast<const char*>(limit ? std::memchr(begin, '\n', limit) : nullptr);
  if (!end) {
    if (limit == longest) throw Error("a line of the pickle is too long");
    truncated();
  }
  position_ += static_cast<size_t>(end - begin) + 1;
  return {begin, static_cast<size_t>(end - begin)};
}

uint64_t PickleMachine::take_length(int width) {
  if (width == 1) return take_integer<uint8_t>();
  return width == 4 ? take_integer<uint32_t>() : take_integer<uint64_t>();
}

double PickleMachine::take_double() {
  uint64_t bits = 0;
  for (const char c : take(8)) bits = bits << 8 | static_cast<uint8_t>(c);
  return std::bit_cast<double>(bits);
}

// ---- Stack

PickleValue& PickleMachine::top() {
  const size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) throw Error("the pickle takes more from its stack than is there");
  return stack_.back();
}

PickleValue PickleMachine::pop() {
  PickleValue value = std::move(top());
  stack_.pop_back();
  return value;
}

std::vector<PickleValue> PickleMachine::pop_many(size_t count) {
  std::vector<PickleValue> values(count);
  for (size_t i = count; i-- > 0;) values[i] = pop();
  return values;
}

std::vector<PickleValue> PickleMachine::pop_to_mark() {
  if (marks_.empty()) throw Error("the pickle has no mark where one is needed");
  const auto begin = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
  std::vector<PickleValue> values(std::make_move_iterator(begin),
                                  std::make_move_iterator(stack_.end()));
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return values;
}

void PickleMachine::put(uint64_t index) { memo_[index] = top(); }

void PickleMachine::get(uint64_t index) {
  const auto entry = memo_.find(index);
  if (entry == memo_.end()) throw Error("the pickle refers to a value that it has not stored");
  push(entry->second);
}

// ---- Values

void PickleMachine::push_integer(std::string_view little_endian) {
  if (little_endian.size() > longest_integer) throw Error("an integer is too long");
  if (little_endian.size() > 8) {
    push(make_pickle(PickleBigInteger{std::string(little_endian)}));
    return;
  }
  const bool negative = !little_endian.empty() && (little_endian.back() & 0x80);
  int64_t value = negative ? -1 : 0;
  std::memcpy(&value, little_endian.data(), little_endian.size());
  push(value);
}

void PickleMachine::push_decimal(std::string_view text) {
  if (text.ends_with('L')) text.remove_suffix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error("a decimal number is malformed or beyond 64 bits");
  push(value);
}

void PickleMachine::push_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error("a number of the pickle is malformed");
  push(value);
}

void PickleMachine::push_sequence(PickleValue::Kind kind, std::vector<PickleValue> elements) {
  push(context_.adopt(make_pickle(PickleSequence{kind, std::move(elements)})));
}

void PickleMachine::append(std::vector<PickleValue> elements) {
  for (PickleValue& element : elements) top().append(std::move(element));
}

void PickleMachine::add_items(std::vector<PickleValue> keys_and_values) {
  if (keys_and_values.size() % 2) throw Error("a dict has a key without a value");
  for (size_t i = 0; i < keys_and_values.size(); i += 2)
    set_item(top(), keys_and_values[i], keys_and_values[i + 1]);
}

}  // namespace edm2::detail

namespace edm2 {

namespace {

PickleValue run_pickle(const SharedBytes& data, const std::string& name, bool views) {
  return detail::guarded_read(name, [&] {
    try {
      detail::PickleContext context(data, views);
      return context.finish(detail::PickleMachine(data, context).run());
    } catch (const Error&) {
      const std::string found = describe_content(data.span());
      if (found.empty()) throw;
      throw Error("this is no pickle" + in_brackets(found));
    }
  });
}

}  // namespace

PickleValue read_pickle(std::span<const std::byte> data, const std::string& name) {
  return run_pickle(SharedBytes::borrowed(data), name, /*views=*/false);
}

PickleValue view_pickle(const SharedBytes& data, const std::string& name) {
  return run_pickle(data, name, /*views=*/true);
}

bool is_pickle(std::span<const std::byte> contents) {
  const std::string_view text(reinterpret_cast<const char*>(contents.data()), contents.size());
  if (text.empty()) return false;
  if (static_cast<uint8_t>(text.front()) == detail::op::proto) return true;
  // What begins nothing else may lack its end.
  for (const char* beginning : {"(dp0\n", "(dp1\n", "ccopy_reg\n_reconstructor\n", "cdnnlib"})
    if (text.starts_with(beginning)) return true;
  if (text.back() != detail::op::stop) return false;
  for (const char* beginning : {"(d", "(lp", "(tp", "}q", "}r", "}(", "]q", "]r", ")q",
                                "ccopy_reg\n", "ccopyreg\n", "ccollections\n", "cdnnlib", "ctorch"})
    if (text.starts_with(beginning)) return true;
  return text == "}." || text == "].";
}

}  // namespace edm2
