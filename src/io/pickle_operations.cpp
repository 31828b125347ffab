// What the opcodes of a pickle do to the machine's stack.
#include <algorithm>
#include <charconv>
#include <iterator>

#include "io/pickle_machine.h"
#include "io/pickle_opcodes.h"

namespace edm2::detail {
namespace {

constexpr size_t longest_line = 4096;  // names and decimal numbers of text opcodes

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

bool PickleMachine::container_op(uint8_t code) {
  using Kind = PickleValue::Kind;
  switch (code) {
    case op::empty_tuple:
      push_sequence(Kind::tuple, {});
      return true;
    case op::tuple1:
    case op::tuple2:
    case op::tuple3:
      push_sequence(Kind::tuple, pop_many(size_t{1} + code - op::tuple1));
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
