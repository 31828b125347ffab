// What the opcodes of a pickle do to the machine's stack.
#include <array>
#include <charconv>
#include <iterator>

#include "io/code_pages.h"
#include "io/pickle_machine.h"
#include "io/pickle_opcodes.h"
#include "io/unicode_text.h"

namespace edm2::detail {
namespace {

constexpr size_t longest_line = 4096;  // names and decimal numbers of text opcodes

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

PickleValue make_bytes(SharedBytes bytes) { return make_pickle(PickleBytes{std::move(bytes)}); }

PickleValue python2_string(const SharedBytes& text) {
  return is_ascii_text(text.text()) ? PickleValue(text.text()) : make_bytes(text);
}

std::string opcode_name(uint8_t code) {
  constexpr char digits[] = "0123456789abcdef";
  return std::string("0x") + digits[code >> 4] + digits[code & 15];
}

}  // namespace

const PickleMachine::Operation PickleMachine::operations[] = {
    {op::proto,
     [](PickleMachine& m) {
       if (m.take_integer<uint8_t>() > 5) throw Error("pickle protocols above 5 are unknown");
     }},
    {op::frame, [](PickleMachine& m) { m.take(8); }},

    // Numbers.
    {op::none, [](PickleMachine& m) { m.push({}); }},
    {op::new_true, [](PickleMachine& m) { m.push(true); }},
    {op::new_false, [](PickleMachine& m) { m.push(false); }},
    {op::bin_int, [](PickleMachine& m) { m.push(int64_t{m.take_integer<int32_t>()}); }},
    {op::bin_int1, [](PickleMachine& m) { m.push(int64_t{m.take_integer<uint8_t>()}); }},
    {op::bin_int2, [](PickleMachine& m) { m.push(int64_t{m.take_integer<uint16_t>()}); }},
    {op::long1, [](PickleMachine& m) { m.push_integer(m.take(m.take_length(1))); }},
    {op::long4, [](PickleMachine& m) { m.push_integer(m.take(m.take_length(4))); }},
    {op::bin_float, [](PickleMachine& m) { m.push(m.take_double()); }},
    {op::long_text, [](PickleMachine& m) { m.push_decimal(m.take_line(longest_line)); }},
    {op::float_text, [](PickleMachine& m) { m.push_real(m.take_line(longest_line)); }},
    {op::int_text,
     [](PickleMachine& m) {
       const std::string_view line = m.take_line(longest_line);
       if (line == "00" || line == "01")
         m.push(line == "01");
       else
         m.push_decimal(line);
     }},

    // Texts and bytes.
    {op::bin_unicode, [](PickleMachine& m) { m.push(m.take(m.take_length(4))); }},
    {op::short_bin_unicode, [](PickleMachine& m) { m.push(m.take(m.take_length(1))); }},
    {op::bin_unicode8, [](PickleMachine& m) { m.push(m.take(m.take_length(8))); }},
    {op::unicode_text,  // bytes in protocol 0, too
     [](PickleMachine& m) { m.push(decode_raw_unicode(m.take_line(m.data_.size() + 1))); }},
    {op::bin_bytes, [](PickleMachine& m) { m.push(make_bytes(m.take_bytes(m.take_length(4)))); }},
    {op::short_bin_bytes,
     [](PickleMachine& m) { m.push(make_bytes(m.take_bytes(m.take_length(1)))); }},
    {op::bin_bytes8, [](PickleMachine& m) { m.push(make_bytes(m.take_bytes(m.take_length(8)))); }},
    {op::byte_array8, [](PickleMachine& m) { m.push(make_bytes(m.take_bytes(m.take_length(8)))); }},
    {op::short_bin_string,
     [](PickleMachine& m) { m.push(python2_string(m.take_bytes(m.take_length(1)))); }},
    {op::bin_string,
     [](PickleMachine& m) { m.push(python2_string(m.take_bytes(m.take_length(4)))); }},

    // Containers.
    {op::empty_tuple, [](PickleMachine& m) { m.push_sequence(Kind::tuple, {}); }},
    {op::tuple1, [](PickleMachine& m) { m.push_sequence(Kind::tuple, m.pop_many(1)); }},
    {op::tuple2, [](PickleMachine& m) { m.push_sequence(Kind::tuple, m.pop_many(2)); }},
    {op::tuple3, [](PickleMachine& m) { m.push_sequence(Kind::tuple, m.pop_many(3)); }},
    {op::tuple, [](PickleMachine& m) { m.push_sequence(Kind::tuple, m.pop_to_mark()); }},
    {op::empty_list, [](PickleMachine& m) { m.push_sequence(Kind::list, {}); }},
    {op::list, [](PickleMachine& m) { m.push_sequence(Kind::list, m.pop_to_mark()); }},
    {op::append, [](PickleMachine& m) { m.append(m.pop_many(1)); }},
    {op::appends, [](PickleMachine& m) { m.append(m.pop_to_mark()); }},
    {op::empty_set, [](PickleMachine& m) { m.push_sequence(Kind::set, {}); }},
    {op::frozen_set, [](PickleMachine& m) { m.push_sequence(Kind::set, m.pop_to_mark()); }},
    {op::add_items,
     [](PickleMachine& m) {
       std::vector<PickleValue> elements = m.pop_to_mark();
       if (m.top().kind() != Kind::set) throw Error("expected a set, found " + m.top().kind_name());
       auto& set = pickle_as<PickleSequence>(m.top())->elements;
       std::move(elements.begin(), elements.end(), std::back_inserter(set));
     }},
    {op::empty_dict, [](PickleMachine& m) { m.push(m.context_.adopt(PickleValue::dict())); }},
    {op::dict,
     [](PickleMachine& m) {
       std::vector<PickleValue> items = m.pop_to_mark();
       m.push(m.context_.adopt(PickleValue::dict()));
       m.add_items(std::move(items));
     }},
    {op::set_item, [](PickleMachine& m) { m.add_items(m.pop_many(2)); }},
    {op::set_items, [](PickleMachine& m) { m.add_items(m.pop_to_mark()); }},

    // The stack and the memo.
    {op::mark, [](PickleMachine& m) { m.marks_.push_back(m.stack_.size()); }},
    {op::pop,
     [](PickleMachine& m) {
       if (!m.marks_.empty() && m.marks_.back() == m.stack_.size())
         m.marks_.pop_back();
       else
         m.pop();
     }},
    {op::pop_mark, [](PickleMachine& m) { m.pop_to_mark(); }},
    {op::dup, [](PickleMachine& m) { m.push(PickleValue(m.top())); }},
    {op::memoize, [](PickleMachine& m) { m.put(m.memo_.size()); }},
    {op::bin_put, [](PickleMachine& m) { m.put(m.take_length(1)); }},
    {op::long_bin_put, [](PickleMachine& m) { m.put(m.take_length(4)); }},
    {op::put_text, [](PickleMachine& m) { m.put(m.take_text_index()); }},
    {op::bin_get, [](PickleMachine& m) { m.get(m.take_length(1)); }},
    {op::long_bin_get, [](PickleMachine& m) { m.get(m.take_length(4)); }},
    {op::get_text, [](PickleMachine& m) { m.get(m.take_text_index()); }},

    // Objects.
    {op::global,
     [](PickleMachine& m) {
       const std::string_view module = m.take_line(longest_line);
       m.push(find_global(module, m.take_line(longest_line), m.context_));
     }},
    {op::stack_global,
     [](PickleMachine& m) {
       const PickleValue name = m.pop(), module = m.pop();
       m.push(find_global(module.as_string(), name.as_string(), m.context_));
     }},
    {op::reduce,
     [](PickleMachine& m) {
       const PickleValue arguments = m.pop(), callable = m.pop();
       m.push(call_global(callable, arguments, m.context_));
     }},
    {op::new_obj,
     [](PickleMachine& m) {
       const PickleValue arguments = m.pop(), cls = m.pop();
       m.push(new_object(cls, arguments, m.context_));
     }},
    {op::new_obj_ex,
     [](PickleMachine& m) {
       const PickleValue keywords = m.pop(), arguments = m.pop(), cls = m.pop();
       if (keywords.size() != 0) throw Error("an object is made with keyword arguments");
       m.push(new_object(cls, arguments, m.context_));
     }},
    {op::build,
     [](PickleMachine& m) {
       const PickleValue state = m.pop();
       build_object(m.top(), state, m.context_);
     }},
    {op::bin_persid,
     [](PickleMachine& m) {
       if (!m.persistent_load_) throw Error("a persistent id stands outside of a torch file");
       m.push(m.persistent_load_(m.pop()));
     }},
};

void PickleMachine::step(uint8_t code) {
  static const auto by_code = [] {
    std::array<decltype(Operation::run), 256> table = {};
    for (const auto& [known, run] : operations) table[known] = run;
    return table;
  }();
  if (by_code[code] == nullptr)
    throw Error("the pickle opcode " + opcode_name(code) + " is not supported (is this a pickle?)");
  by_code[code](*this);
}

uint64_t PickleMachine::take_text_index() {
  push_decimal(take_line(longest_line));
  return static_cast<uint64_t>(pop().as_int());
}

}  // namespace edm2::detail
