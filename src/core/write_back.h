// A hint to the system.
#pragma once

namespace edm2 {

/// Lets the system begin to put to disk what has been written to this open file, without waiting
/// for it, so that a later sync_to_disk() finds little left to do. Does nothing where the system
/// has no such call.
void start_write_back(int file_descriptor);

}  // namespace edm2
