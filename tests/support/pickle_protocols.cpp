#include "support/pickle_protocols.h"

#include <ATen/ATen.h>

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <map>

#include "edm2/core/error.h"
#include "edm2/io/pickle.h"

namespace edm2::test {
namespace {

template <class T>
std::string raw(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

std::string utf8_of_latin1(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x80) text += static_cast<char>(0xc0 | byte >> 6);
    text += static_cast<char>(byte < 0x80 ? byte : 0x80 | (byte & 63));
  }
  return text;
}

// Python's raw-unicode-escape of characters below 256.
std::string escaped(std::string_view latin1) {
  std::string line;
  for (const char c : latin1) {
    constexpr char digits[] = "0123456789abcdef";
    const auto byte = static_cast<uint8_t>(c);
    if (byte == 0 || c == '\n' || c == '\r' || c == '\\' || byte == 0x1a)
      line += std::string("\\u00") + digits[byte >> 4] + digits[byte & 15];
    else
      line += c;
  }
  return line;
}

class Rewriter {
 public:
  Rewriter(const std::string& pickle, int protocol) : in_(pickle), protocol_(protocol) {}

  std::string run() {
    for (;;) {
      const auto code = static_cast<uint8_t>(in_.at(at_++));
      step(code);
      if (code == '.') return std::move(out_);
    }
  }

 private:
  void step(uint8_t code) {
    switch (code) {
      case 0x80:
        take(1);
        if (protocol_ >= 2) out_ += "\x80" + std::string(1, static_cast<char>(protocol_));
        if (protocol_ >= 4) out_ += "\x95" + std::string(8, '\0');
        return;
      case 0x88:
      case 0x89:
        out_ += protocol_ >= 2 ? std::string(1, static_cast<char>(code))
                : code == 0x88 ? "I01\n"
                               : "I00\n";
        return;
      case 'J': {
        const auto number = number_of<int32_t>();
        out_ += protocol_ > 0 ? "J" + raw(number) : "I" + std::to_string(number) + "\n";
        return;
      }
      case 'G':
        return real(take(8));
      case 'X':
        return text(take(number_of<uint32_t>()));
      case 'B':
        return bytes(take(number_of<uint32_t>()));
      case 'c':
        return global();
      case ')':
        out_ += protocol_ > 0 ? ")" : "(t";
        return;
      case '}':
        out_ += protocol_ > 0 ? "}" : "(d";
        return;
      case ']':
        out_ += protocol_ > 0 ? "]" : "(l";
        return;
      case 0x8f:
        if (protocol_ >= 4)
          out_ += "\x8f";
        else
          out_ += "c__builtin__\nset\n(" + std::string(protocol_ > 0 ? "]" : "(l") + "tR";
        return;
      case '(':
        out_ += '(';
        closing_.emplace_back();
        return;
      case 'u':
        out_ += 'u' + closing_.back();
        closing_.pop_back();
        return;
      case 't':
      case 'e':
        out_ += static_cast<char>(code);
        closing_.pop_back();
        return;
      case 'h':
      case 'q':
        out_ += static_cast<char>(code) + take(1);
        return;
      default:
        if (std::strchr("N.Rb", code) == nullptr) throw Error("unexpected opcode in a test");
        out_ += static_cast<char>(code);
    }
  }

  std::string take(size_t count) {
    at_ += count;
    return in_.substr(at_ - count, count);
  }
  std::string line() {
    const size_t end = in_.find('\n', at_);
    std::string text = take(end - at_);
    ++at_;
    return text;
  }
  template <class T>
  T number_of() {
    T number;
    std::memcpy(&number, take(sizeof number).data(), sizeof number);
    return number;
  }

  void real(const std::string& big_endian) {
    if (protocol_ > 0) {
      out_ += 'G' + big_endian;
      return;
    }
    uint64_t bits = 0;
    std::memcpy(&bits, big_endian.data(), sizeof bits);
    char digits[64];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits,
                                            std::bit_cast<double>(__builtin_bswap64(bits)));
    out_ += 'F' + std::string(digits, end) + '\n';
  }

  void text(const std::string& utf8) {
    if (protocol_ >= 4 && utf8.size() < 256)
      out_ += "\x8c" + std::string(1, static_cast<char>(utf8.size())) + utf8;
    else if (protocol_ > 0)
      out_ += 'X' + raw(static_cast<uint32_t>(utf8.size())) + utf8;
    else
      out_ += 'V' + escaped(utf8) + '\n';
  }

  void bytes(const std::string& data) {
    if (protocol_ >= 5) {
      out_ += "\x8e" + raw(uint64_t{data.size()}) + data;
      return;
    }
    if (protocol_ >= 3) {
      out_ += 'B' + raw(static_cast<uint32_t>(data.size())) + data;
      return;
    }
    out_ += "c_codecs\nencode\n(";
    if (protocol_ > 0)
      text(utf8_of_latin1(data));
    else
      out_ += 'V' + escaped(data) + '\n';
    text("latin1");
    out_ += "tR";
  }

  void named(const std::string& module, const std::string& name) {
    if (protocol_ >= 4) {
      text(module);
      text(name);
      out_ += "\x93";
    } else {
      out_ += 'c' + module + '\n' + name + '\n';
    }
  }

  void global() {
    const std::string module = line(), name = line();
    if (in_.compare(at_, 2, ")\x81") != 0) return named(module, name);
    at_ += 2;
    if (protocol_ >= 2) {
      named(module, name);
      out_ += ")\x81";
      return;
    }
    const bool is_dict = name == "EasyDict";
    out_ += "ccopy_reg\n_reconstructor\n(";
    named(module, name);
    named("__builtin__", is_dict ? "dict" : "object");
    if (!is_dict) {
      out_ += "NtR";
      return;
    }
    out_ += protocol_ > 0 ? "}" : "(d";
    if (in_.at(at_) != '(') {
      out_ += "tR";
      return;
    }
    ++at_;
    out_ += '(';
    closing_.emplace_back("tR");  // behind the items
  }

  const std::string& in_;
  size_t at_ = 0;
  int protocol_;
  std::string out_;
  std::vector<std::string> closing_;  // of each mark
};

const std::string rebuild = "ctorch._utils\n_rebuild_tensor_v2\n(";
const std::string load = "ctorch.storage\n_load_from_bytes\n(B";

// The end of the opcodes that load a storage, which begin at `at`.
size_t end_of_storage(const std::string& pickle, size_t at) {
  uint32_t size = 0;
  std::memcpy(&size, pickle.data() + at + load.size(), sizeof size);
  return at + load.size() + sizeof size + size + 2;  // tR
}

std::string pickle_of(const PickleValue& value) {
  std::string text;
  write_pickle(
      [&](std::span<const std::byte> bytes) {
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      },
      value);
  return text;
}

std::string storage_of(const Tensor& elements) {
  const std::string pickle = pickle_of(elements);
  const size_t begin = pickle.find(load);
  return pickle.substr(begin, end_of_storage(pickle, begin) - begin);
}

std::string tuple_of(const std::vector<int64_t>& numbers) {
  std::string text = "(";
  for (const int64_t number : numbers) text += 'J' + raw(static_cast<int32_t>(number));
  return text + "t";
}

}  // namespace

std::string in_protocol(const std::string& pickle, int protocol) {
  return Rewriter(pickle, protocol).run();
}

std::string with_shared_storages(const std::string& pickle, const std::vector<Tensor>& storages,
                                 const std::vector<StoragePlace>& places) {
  std::map<size_t, StoragePlace> by_tensor;
  for (const StoragePlace& place : places) by_tensor[place.tensor] = place;
  std::vector<bool> stored(storages.size(), false);
  std::string result;
  size_t at = 0;
  for (size_t tensor = 0;; ++tensor) {
    const size_t begin = pickle.find(rebuild + load, at);
    if (begin == std::string::npos) return result + pickle.substr(at);
    const size_t storage_end = end_of_storage(pickle, begin + rebuild.size());
    const auto place = by_tensor.find(tensor);
    if (place == by_tensor.end()) {
      result += pickle.substr(at, storage_end - at);
      at = storage_end;
      continue;
    }
    const StoragePlace& to = place->second;
    result += pickle.substr(at, begin + rebuild.size() - at);
    const std::string name(1, static_cast<char>(to.storage + 1));
    result += stored[to.storage] ? "h" + name : storage_of(storages[to.storage]) + "q" + name;
    stored[to.storage] = true;
    result +=
        'J' + raw(static_cast<int32_t>(to.offset)) + tuple_of(to.sizes) + tuple_of(to.strides);
    at = pickle.find(
        "\x89"
        "ccollections\nOrderedDict\n",
        storage_end);  // behind sizes and strides
  }
}

}  // namespace edm2::test
