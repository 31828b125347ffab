/// Text of option values -> values, with the original's syntax (that of Python and click).
///
/// All throw UsageError with a message that fits behind "Invalid value for '--x': ", except where
/// another error is named.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "edm2/core/number_range.h"
#include "edm2/core/option_table.h"

namespace edm2::cli {

/// Sign and decimal digits; blanks around and single `_` between digits are tolerated.
int64_t parse_int(const std::string& text, const IntRange& range = {});
/// As Python's float: also "inf", "nan", "1e-3", ".5". A range excludes nan.
double parse_float(const std::string& text, const FloatRange& range = {});
/// One of these words, which it returns.
std::string parse_word(const std::string& text, const std::vector<std::string>& words);

/// 1 true t yes y on / 0 false f no n off, in any case.
bool parse_bool(const std::string& text);
/// A count of images: integer, or integer followed by Ki (2^10), Mi (2^20) or Gi (2^30).
int64_t parse_nimg(const std::string& text, const IntRange& range = {});

/// Seconds, > 0: "90s", "3h50m", "1d12h", "1.5h", "HH:MM:SS", "D-HH:MM:SS" (as Slurm prints them).
double parse_duration(const std::string& text);

/// "1,2,5-10": integers and inclusive ranges A-B of digits, A <= B; never empty.
std::vector<int64_t> parse_int_list(const std::string& text);
/// "1,2,2" and "0.05,0.10": no ranges, at least one value, each within `range`.
std::vector<int64_t> parse_ints(const std::string& text, const IntRange& range = {});
std::vector<double> parse_floats(const std::string& text, const FloatRange& range = {});

/// Relative standard deviations of power-function EMAs: "0.05,0.10,...,0.25" (a `...` continues
/// the step of the two values before it up to the value after it). Sorted, without duplicates.
/// Throws Error (not UsageError) for a misplaced `...` or a value outside (0, 0.289).
std::vector<double> parse_std_list(const std::string& text);

/// The value of an option of a table.
OptionValue parse_option_value(OptionType type, const std::string& text);

}  // namespace edm2::cli
