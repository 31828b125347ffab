/// One description of each option of a plain struct, for all who fill it: the command line with its
/// help and manual, JSON requests, keywords of other languages. A new option is a member of the
/// struct and a line in its table, such as
///
///   number_option("rho", &SamplerOptions::rho, greater_than(0.0), "Time step exponent"),
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "edm2/core/error.h"
#include "edm2/core/number_range.h"

namespace edm2 {

/// The value of an option as users give it.
using OptionValue =
    std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;

/// The alternatives of OptionValue, in their order.
enum class OptionType { boolean, integer, number, text, integers, numbers };

/// What is said of an option, whatever holds its value.
struct OptionDescription {
  std::string name;  ///< "steps", "guidance-interval"
  OptionType type;
  std::string value_name;  ///< what stands for the value in help: "INT"; "" for switches
  std::string help;        ///< a sentence without its full stop
  /// What is shown as default; none: the struct's value.
  std::optional<std::string> default_text = {};
  std::string range = {};                 ///< of numbers: "x>=1"
  std::vector<std::string> choices = {};  ///< of text: all that may be given; empty = any
};

/// An option of `Struct`.
template <class Struct>
struct Option : OptionDescription {
  /// Takes a value of `type`. `given` is what the user wrote, for errors. Throws UsageError with a
  /// sentence that fits behind "Invalid value for '--x': ".
  std::function<void(Struct&, OptionValue value, const std::string& given)> set;
  /// None: not set.
  std::function<std::optional<OptionValue>(const Struct&)> get;
};

/// A number in JSON, which has none that are not finite: these are "inf", "-inf" and "nan".
nlohmann::ordered_json number_to_json(double value);
/// The value in JSON, with numbers so.
nlohmann::ordered_json to_json(const OptionValue& value);
/// Of that type; none for null. Throws UsageError as Option::set does if it is of another one.
std::optional<OptionValue> value_from_json(OptionType type, const nlohmann::json& json);
/// As the user wrote it, for errors.
std::string json_text(const nlohmann::json& json);
/// How an option is called in JSON and Python: "guidance_interval".
std::string option_key(const std::string& name);
/// Name, type, help and what else there is to say.
nlohmann::ordered_json describe_option(const OptionDescription& option,
                                       const std::optional<OptionValue>& default_value);
/// "No such option 'stesp'; the nearest is 'steps'."
std::string no_such_option(const std::string& key, const std::vector<std::string>& known);
/// Calls `take` with all that is in a JSON object. Throws UsageError if it is none.
void for_each_option(
    const nlohmann::json& json,
    const std::function<void(const std::string& key, const nlohmann::json& value)>& take);

/// The options of `Struct`, in the order of help texts.
template <class Struct>
class OptionTable {
 public:
  explicit OptionTable(std::vector<Option<Struct>> options) : options_(std::move(options)) {}

  auto begin() const { return options_.begin(); }
  auto end() const { return options_.end(); }
  /// The option of that name, with dashes or underscores. Throws UsageError if there is none.
  const Option<Struct>& operator[](const std::string& name) const {
    std::vector<std::string> known;
    for (const auto& option : options_) {
      known.push_back(option_key(option.name));
      if (known.back() == option_key(name)) return option;
    }
    throw UsageError(no_such_option(name, known));
  }
  /// Puts an option into the place of the one of its name.
  void replace(Option<Struct> option) {
    for (auto& old : options_)
      if (old.name == option.name) std::swap(old, option);
  }
  /// Appends the options of a table.
  void add(const OptionTable& table) {
    options_.insert(options_.end(), table.begin(), table.end());
  }
  /// Appends the options of a struct that is a member of this one.
  template <class Inner>
  void add(const OptionTable<Inner>& table, Inner Struct::*member) {
    for (const auto& option : table)
      options_.push_back(
          {static_cast<const OptionDescription&>(option),
           [set = option.set, member](Struct& s, OptionValue value, const std::string& given) {
             set(s.*member, std::move(value), given);
           },
           [get = option.get, member](const Struct& s) { return get(s.*member); }});
  }

  /// Takes the options of a JSON object, whose keys may have underscores for dashes; null leaves an
  /// option as it is. Throws UsageError if a key is unknown, or a value of another type or out of
  /// range; then `target` is as it was.
  void fill(Struct& target, const nlohmann::json& json) const {
    Struct filled = target;
    for_each_option(json, [&](const std::string& key, const nlohmann::json& given) {
      const Option<Struct>& option = (*this)[key];
      try {
        if (auto value = value_from_json(option.type, given))
          option.set(filled, std::move(*value), json_text(given));
      } catch (const UsageError& error) {
        throw UsageError("Invalid value for '" + key + "': " + error.what());
      }
    });
    target = std::move(filled);
  }

  /// An object for each option: "name", "type", "default" (of `defaults`), "help", and where there
  /// are some "default_text", "range" and "choices".
  std::vector<nlohmann::ordered_json> describe(const Struct& defaults = {}) const {
    std::vector<nlohmann::ordered_json> list;
    for (const auto& option : options_)
      list.push_back(describe_option(option, option.get(defaults)));
    return list;
  }

 private:
  std::vector<Option<Struct>> options_;
};

// ---- Options of each kind. Members may be std::optional, and then are none by default.

namespace detail {
/// T of T and of std::optional<T>.
template <class T>
struct Plain {
  using Type = T;
};
/// The same.
template <class T>
struct Plain<std::optional<T>> {
  using Type = T;
};
}  // namespace detail

/// Any option: `from(value, given)` makes the member's value of a `Value`, one of the alternatives
/// of OptionValue, and may throw UsageError; `to` goes back.
template <class Value, class Struct, class Member, class From, class To>
Option<Struct> make_option(OptionDescription description, Member Struct::*member, From from,
                           To to) {
  return {std::move(description),
          [member, from](Struct& s, OptionValue value, const std::string& given) {
            s.*member = from(std::get<Value>(std::move(value)), given);
          },
          [member, to](const Struct& s) -> std::optional<OptionValue> {
            const std::optional<typename detail::Plain<Member>::Type> held = s.*member;
            if (!held) return std::nullopt;
            return OptionValue(Value(to(*held)));
          }};
}

/// An option whose member is one of the alternatives of OptionValue; `check` may throw UsageError.
template <class Value, class Struct, class Member, class Check>
Option<Struct> plain_option(OptionDescription description, Member Struct::*member, Check check) {
  return make_option<Value>(
      std::move(description), member,
      [check](Value value, const std::string&) {
        check(value);
        return value;
      },
      [](const Value& value) { return value; });
}

/// Any of them may be anything.
inline constexpr auto unchecked = [](const auto&) {};

/// Integer within `range`.
template <class Struct, class Member>
Option<Struct> integer_option(const std::string& name, Member Struct::*member,
                              const IntRange& range, const std::string& help,
                              std::optional<std::string> default_text = {}) {
  return plain_option<int64_t>(
      {name, OptionType::integer, "INT", help, std::move(default_text), range.describe()}, member,
      [range](int64_t value) { range.check(value); });
}

/// Floating-point number within `range`.
template <class Struct, class Member>
Option<Struct> number_option(const std::string& name, Member Struct::*member,
                             const FloatRange& range, const std::string& help,
                             std::optional<std::string> default_text = {}) {
  return plain_option<double>(
      {name, OptionType::number, "FLOAT", help, std::move(default_text), range.describe()}, member,
      [range](double value) { range.check(value); });
}

/// Any text; `value_name` says what it is: "FILE|URL".
template <class Struct, class Member>
Option<Struct> text_option(const std::string& name, Member Struct::*member,
                           const std::string& value_name, const std::string& help,
                           std::optional<std::string> default_text = {}) {
  return plain_option<std::string>(
      {name, OptionType::text, value_name, help, std::move(default_text)}, member, unchecked);
}

/// true or false; without a value on the command line, where it can only be switched on.
template <class Struct>
Option<Struct> switch_option(const std::string& name, bool Struct::*member,
                             const std::string& help) {
  return plain_option<bool>({name, OptionType::boolean, "", help}, member, unchecked);
}

/// A list of numbers.
template <class Struct, class Member>
Option<Struct> numbers_option(const std::string& name, Member Struct::*member,
                              const std::string& help) {
  return plain_option<std::vector<double>>({name, OptionType::numbers, "LIST", help}, member,
                                           unchecked);
}

/// A list of integers; on the command line with ranges such as 5-10.
template <class Struct, class Member>
Option<Struct> integers_option(const std::string& name, Member Struct::*member,
                               const std::string& help,
                               std::optional<std::string> default_text = {}) {
  return plain_option<std::vector<int64_t>>(
      {name, OptionType::integers, "LIST", help, std::move(default_text)}, member, unchecked);
}

/// A value of an enum, by its name: `names` are in the order of its values, and `parse` throws
/// UsageError for other text.
template <class Struct, class Member, class Parse>
Option<Struct> choice_option(const std::string& name, Member Struct::*member, Parse parse,
                             const std::vector<std::string>& names, const std::string& help) {
  return make_option<std::string>(
      {name, OptionType::text, "NAME", help, {}, "", names}, member,
      [parse](const std::string& text, const std::string&) { return parse(text); },
      [names](auto value) { return names.at(static_cast<size_t>(value)); });
}

}  // namespace edm2
