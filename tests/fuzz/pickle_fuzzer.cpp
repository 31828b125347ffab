// Feeds arbitrary bytes to the readers of pickles, torch files and safetensors: they must end with
// a value or an Error, whatever comes.
#include "edm2/core/error.h"
#include "edm2/io/safetensors.h"
#include "io/pickle_machine.h"
#include "io/pickle_writer.h"

namespace {

void read(edm2::detail::Bytes data) {
  using namespace edm2;
  if (is_safetensors(data)) {
    read_safetensors(data, "fuzz");
    return;
  }
  const PickleValue value = detail::guarded_read("fuzz", [&] {
    detail::PickleContext context(data.size());
    if (detail::is_zip(data) || detail::is_torch_legacy(data))
      return context.finish(detail::read_torch_stream(data, context));
    return context.finish(detail::PickleMachine(data, context).run());
  });
  // Whatever was read must be writable or refused, too; shared values are written repeatedly, so
  // the output is cut off.
  size_t written = 0;
  write_pickle(
      [&](detail::Bytes bytes) {
        written += bytes.size();
        if (written > 1 << 20) throw Error("enough");
      },
      value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    read(std::as_bytes(std::span(data, size)));
  } catch (const edm2::Error&) {
  }
  return 0;
}
