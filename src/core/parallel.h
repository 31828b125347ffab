// Work on all of libtorch's threads. at::parallel_for itself is a template, and without OpenMP's
// compiler flag, which this program's sources are compiled without, it works on one thread.
#pragma once

#include <cstdint>
#include <functional>

namespace edm2 {

/// Calls body(first, last) for pieces of [begin, end) of `grain` elements or more, on as many
/// threads as at::get_num_threads() says, and waits for all. Inside of another parallel region, or
/// where one piece would be all, it is one call. An exception of a body is thrown here.
void parallel_for(int64_t begin, int64_t end, int64_t grain,
                  const std::function<void(int64_t, int64_t)>& body);

}  // namespace edm2
