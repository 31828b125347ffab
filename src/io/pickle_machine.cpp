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

constexpr size_t longest_line = 4096;     // names and decimal numbers of text opcodes
constexpr size_t longest_integer = 4096;  // bytes

[[noreturn]] void truncated() { throw Error("the data end too early (a truncated file?)"); }

std::string opcode_name(uint8_t code) {
  constexpr char digits[] = "0123456789abcdef";
  return std::string("0x") + digits[code >> 4] + digits[code & 15];
}

void append_utf8(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | code >> 6);
    text += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | code >> 12);
    text += static_cast<char>(0x80 | (code >> 6 & 63));
    text += static_cast<char>(0x80 | (code & 63));
  } else {
    text += static_cast<char>(0xf0 | code >> 18);
    text += static_cast<char>(0x80 | (code >> 12 & 63));
    text += static_cast<char>(0x80 | (code >> 6 & 63));
    text += static_cast<char>(0x80 | (code & 63));
  }
}

// Python's raw-unicode-escape: latin-1 with \uXXXX and \UXXXXXXXX.
std::string decode_raw_unicode(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool escape =
        line[i] == '\\' && i + 1 < line.size() && (line[i + 1] == 'u' || line[i + 1] == 'U');
    if (!escape) {
      append_utf8(text, static_cast<uint8_t>(line[i]));
      continue;
    }
    const size_t digits = line[i + 1] == 'u' ? 4 : 8;
    const std::string_view hex = line.substr(i + 2, digits);
    uint32_t code = 0;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (hex.size() != digits || error != std::errc() || end != hex.data() + digits ||
        code > 0x10ffff)
      throw Error("a text has a malformed escape sequence");
    append_utf8(text, code);
    i += 1 + digits;
  }
  return text;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 128; });
}

PickleValue make_bytes(SharedBytes bytes) { return make_pickle(PickleBytes{std::move(bytes)}); }

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

void PickleMachine::step(uint8_t code) {
  if (number_op(code) || text_op(code) || container_op(code) || stack_op(code) || object_op(code))
    return;
  if (code == op::proto) {
    if (take_integer<uint8_t>() > 5) throw Error("pickle protocols above 5 are unknown");
  } else if (code == op::frame) {
    take(8);
  } else {
    throw Error("the pickle opcode " + opcode_name(code) + " is not supported (is this a pickle?)");
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

template <class T>
T PickleMachine::take_integer() {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
  return value;
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

bool PickleMachine::number_op(uint8_t code) {
  switch (code) {
    case op::none:
      push({});
      return true;
    case op::new_true:
      push(true);
      return true;
    case op::new_false:
      push(false);
      return true;
    case op::bin_int:
      push(int64_t{take_integer<int32_t>()});
      return true;
    case op::bin_int1:
      push(int64_t{take_integer<uint8_t>()});
      return true;
    case op::bin_int2:
      push(int64_t{take_integer<uint16_t>()});
      return true;
    case op::long1:
      push_integer(take(take_length(1)));
      return true;
    case op::long4:
      push_integer(take(take_length(4)));
      return true;
    case op::bin_float:
      push(take_double());
      return true;
    case op::long_text:
      push_decimal(take_line(longest_line));
      return true;
    case op::float_text:
      push_real(take_line(longest_line));
      return true;
    case op::int_text: {
      const std::string_view line = take_line(longest_line);
      if (line == "00" || line == "01")
        push(line == "01");
      else
        push_decimal(line);
      return true;
    }
    default:
      return false;
  }
}

bool PickleMachine::text_op(uint8_t code) {
  const auto push_python2_string = [&](const SharedBytes& text) {
    push(is_ascii(text.text()) ? PickleValue(text.text()) : make_bytes(text));
  };
  switch (code) {
    case op::bin_unicode:
      push(take(take_length(4)));
      return true;
    case op::short_bin_unicode:
      push(take(take_length(1)));
      return true;
    case op::bin_unicode8:
      push(take(take_length(8)));
      return true;
    case op::unicode_text:
      push(decode_raw_unicode(take_line(data_.size() + 1)));  // bytes in protocol 0, too
      return true;
    case op::bin_bytes:
      push(make_bytes(take_bytes(take_length(4))));
      return true;
    case op::short_bin_bytes:
      push(make_bytes(take_bytes(take_length(1))));
      return true;
    case op::bin_bytes8:
    case op::byte_array8:
      push(make_bytes(take_bytes(take_length(8))));
      return true;
    case op::short_bin_string:
      push_python2_string(take_bytes(take_length(1)));
      return true;
    case op::bin_string:
      push_python2_string(take_bytes(take_length(4)));
      return true;
    default:
      return false;
  }
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

bool PickleMachine::container_op(uint8_t code) {
  using Kind = PickleValue::Kind;
  switch (code) {
    case op::empty_tuple:
      push_sequence(Kind::tuple, {});
      return true;
    case op::tuple1:
      push_sequence(Kind::tuple, pop_many(1));
      return true;
    case op::tuple2:
      push_sequence(Kind::tuple, pop_many(2));
      return true;
    case op::tuple3:
      push_sequence(Kind::tuple, pop_many(3));
      return true;
    case op::tuple:
      push_sequence(Kind::tuple, pop_to_mark());
      return true;
    case op::empty_list:
      push_sequence(Kind::list, {});
      return true;
    case op::list:
      push_sequence(Kind::list, pop_to_mark());
      return true;
    case op::append:
      append(pop_many(1));
      return true;
    case op::appends:
      append(pop_to_mark());
      return true;
    case op::empty_set:
      push_sequence(Kind::set, {});
      return true;
    case op::frozen_set:
      push_sequence(Kind::set, pop_to_mark());
      return true;
    case op::add_items: {
      std::vector<PickleValue> elements = pop_to_mark();
      if (top().kind() != Kind::set) throw Error("expected a set, found " + top().kind_name());
      auto& set = pickle_as<PickleSequence>(top())->elements;
      std::move(elements.begin(), elements.end(), std::back_inserter(set));
      return true;
    }
    case op::empty_dict:
      push(context_.adopt(PickleValue::dict()));
      return true;
    case op::dict: {
      std::vector<PickleValue> items = pop_to_mark();
      push(context_.adopt(PickleValue::dict()));
      add_items(std::move(items));
      return true;
    }
    case op::set_item:
      add_items(pop_many(2));
      return true;
    case op::set_items:
      add_items(pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::stack_op(uint8_t code) {
  const auto text_index = [&] {
    push_decimal(take_line(longest_line));
    return static_cast<uint64_t>(pop().as_int());
  };
  switch (code) {
    case op::mark:
      marks_.push_back(stack_.size());
      return true;
    case op::pop:
      if (!marks_.empty() && marks_.back() == stack_.size())
        marks_.pop_back();
      else
        pop();
      return true;
    case op::pop_mark:
      pop_to_mark();
      return true;
    case op::dup:
      push(PickleValue(top()));
      return true;
    case op::memoize:
      put(memo_.size());
      return true;
    case op::bin_put:
      put(take_length(1));
      return true;
    case op::long_bin_put:
      put(take_length(4));
      return true;
    case op::put_text:
      put(text_index());
      return true;
    case op::bin_get:
      get(take_length(1));
      return true;
    case op::long_bin_get:
      get(take_length(4));
      return true;
    case op::get_text:
      get(text_index());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::object_op(uint8_t code) {
  switch (code) {
    case op::global: {
      const std::string_view module = take_line(longest_line);
      push(find_global(module, take_line(longest_line), context_));
      return true;
    }
    case op::stack_global: {
      const PickleValue name = pop(), module = pop();
      push(find_global(module.as_string(), name.as_string(), context_));
      return true;
    }
    case op::reduce: {
      const PickleValue arguments = pop(), callable = pop();
      push(call_global(callable, arguments, context_));
      return true;
    }
    case op::new_obj: {
      const PickleValue arguments = pop(), cls = pop();
      push(new_object(cls, arguments, context_));
      return true;
    }
    case op::new_obj_ex: {
      const PickleValue keywords = pop(), arguments = pop(), cls = pop();
      if (keywords.size() != 0) throw Error("an object is made with keyword arguments");
      push(new_object(cls, arguments, context_));
      return true;
    }
    case op::build: {
      const PickleValue state = pop();
      build_object(top(), state, context_);
      return true;
    }
    case op::bin_persid: {
      if (!persistent_load_) throw Error("a persistent id stands outside of a torch file");
      push(persistent_load_(pop()));
      return true;
    }
    default:
      return false;
  }
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
