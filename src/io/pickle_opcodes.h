// Names of the pickle opcodes (protocols 0 to 5) that the reader or the writer uses.
#pragma once

#include <cstdint>

namespace edm2::detail::op {

constexpr uint8_t mark = '(', stop = '.', pop = '0', pop_mark = '1', dup = '2';
constexpr uint8_t none = 'N', new_true = 0x88, new_false = 0x89;
constexpr uint8_t int_text = 'I', long_text = 'L', bin_int = 'J', bin_int1 = 'K', bin_int2 = 'M';
constexpr uint8_t long1 = 0x8a, long4 = 0x8b, bin_float = 'G', float_text = 'F';
constexpr uint8_t short_bin_string = 'U', bin_string = 'T';
constexpr uint8_t unicode_text = 'V', bin_unicode = 'X', short_bin_unicode = 0x8c,
                  bin_unicode8 = 0x8d;
constexpr uint8_t bin_bytes = 'B', short_bin_bytes = 'C', bin_bytes8 = 0x8e, byte_array8 = 0x96;
constexpr uint8_t empty_tuple = ')', tuple = 't', tuple1 = 0x85, tuple2 = 0x86, tuple3 = 0x87;
constexpr uint8_t empty_list = ']', list = 'l', append = 'a', appends = 'e';
constexpr uint8_t empty_dict = '}', dict = 'd', set_item = 's', set_items = 'u';
constexpr uint8_t empty_set = 0x8f, add_items = 0x90, frozen_set = 0x91;
constexpr uint8_t get_text = 'g', bin_get = 'h', long_bin_get = 'j';
constexpr uint8_t put_text = 'p', bin_put = 'q', long_bin_put = 'r', memoize = 0x94;
constexpr uint8_t global = 'c', stack_global = 0x93, reduce = 'R', build = 'b';
constexpr uint8_t new_obj = 0x81, new_obj_ex = 0x92, bin_persid = 'Q';
constexpr uint8_t proto = 0x80, frame = 0x95;

}  // namespace edm2::detail::op
