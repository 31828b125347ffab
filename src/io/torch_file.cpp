#include "edm2/io/torch_file.h"

#include <ATen/ATen.h>
#include <caffe2/serialize/inline_container.h>

#include "edm2/core/platform.h"
#include "edm2/io/atomic_file.h"
#include "io/pickle_machine.h"
#include "io/pickle_writer.h"

namespace edm2 {
using namespace detail;

PickleValue read_pickle_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return read_pickle(file.bytes(), path.string());
}

PickleValue load_torch_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return guarded_read(path.string(), [&] {
    if (!is_zip(file.bytes()) && !is_torch_legacy(file.bytes()))
      throw Error("not a file of torch.save");
    PickleContext context(file.bytes().size());
    return context.finish(read_torch_stream(file.bytes(), context));
  });
}

void save_torch_file(const std::filesystem::path& path, const PickleValue& root) {
  AtomicFile file(path);
  std::string pickle;
  std::vector<Tensor> storages;
  const ByteSink to_pickle = [&](Bytes data) {
    pickle.append(reinterpret_cast<const char*>(data.data()), data.size());
  };
  PickleWriter(to_pickle, [&](const Tensor& tensor) {
    storages.push_back(tensor);
    return PickleValue::tuple(
        {"storage",
         PickleValue::global("torch", std::string(storage_class_name(tensor.scalar_type()))),
         std::to_string(storages.size() - 1), "cpu", tensor.numel()});
  }).write(root);

  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    file.write(Bytes(static_cast<const std::byte*>(data), size));
    return size;
  });
  const auto write_text = [&](const char* name, std::string_view text) {
    writer.writeRecord(name, text.data(), text.size());
  };
  write_text("data.pkl", pickle);
  write_text(".format_version", "1");
  write_text(".storage_alignment", "64");
  write_text("byteorder", "little");
  for (size_t i = 0; i < storages.size(); ++i)
    writer.writeRecord("data/" + std::to_string(i), storages[i].const_data_ptr(),
                       storages[i].nbytes());
  writer.writeEndOfFile();
  file.commit();
}

}  // namespace edm2
