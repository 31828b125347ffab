// Libraries of this project that the program loads only where they are there and of use.
#pragma once

namespace edm2 {

/// A symbol of a library that lies beside the program, in lib/ of the same prefix, or where the
/// system looks for libraries; null if there is no such library or no such symbol in it. Symbols
/// that the library itself lacks are looked for in what has been loaded before.
void* find_in_side_library(const char* library, const char* symbol);

}  // namespace edm2
