#include "edm2/io/torch_file.h"

#include <ATen/ATen.h>

#include "edm2/core/platform.h"
#include "edm2/io/zip.h"
#include "io/foreign_content.h"
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
  return read_torch_bytes(file.bytes(), path.string());
}

PickleValue read_torch_bytes(Bytes contents, const std::string& name) {
  return guarded_read(name, [&] {
    if (!is_torch_file(contents))
      throw Error("not a file of torch.save" + in_brackets(describe_content(contents)));
    const SharedBytes data = SharedBytes::borrowed(contents);
    PickleContext context(data);
    return context.finish(read_torch_stream(data, context));
  });
}

bool is_torch_file(Bytes contents) { return is_zip(contents) || is_torch_legacy(contents); }

std::optional<std::string> read_torch_extra(Bytes contents, const std::string& name) {
  return is_zip(contents) ? read_torch_zip_entry(contents, name) : std::nullopt;
}

void save_torch_file(const std::filesystem::path& path, const PickleValue& root,
                     const std::map<std::string, std::string>& extra) {
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

  constexpr unsigned alignment = 64;  // what torch maps files by
  ZipWriter zip(path);
  const std::string prefix = path.stem().string() + '/';
  zip.add(prefix + "data.pkl", pickle, alignment);
  zip.add(prefix + ".format_version", "1", alignment);
  zip.add(prefix + ".storage_alignment", "64", alignment);
  zip.add(prefix + "byteorder", "little", alignment);
  for (size_t i = 0; i < storages.size(); ++i) {
    const auto* data = static_cast<const std::byte*>(storages[i].const_data_ptr());
    zip.add(prefix + "data/" + std::to_string(i), Bytes(data, storages[i].nbytes()), alignment);
  }
  zip.add(prefix + "version", "3\n", alignment);
  for (const auto& [name, contents] : extra) zip.add(prefix + name, contents, alignment);
  zip.finish();
}

}  // namespace edm2
