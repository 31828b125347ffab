// Opcodes out: what the snapshot pickles and the torch files share.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "edm2/io/pickle.h"

namespace edm2::detail {

// Writes values as opcodes that protocols 2 and up understand, without memo. Small pieces are
// gathered; the elements of tensors go to the sink directly.
class PickleWriter {
 public:
  // Puts a persistent id in place of a tensor's storage, e.g. ('storage', FloatStorage, "0", ...).
  using PersistentId = std::function<PickleValue(const Tensor& contiguous)>;

  // Without `persistent_id`: protocol 4, tensors embedded. With it: protocol 2.
  explicit PickleWriter(const ByteSink& sink, PersistentId persistent_id = {});
  // From now on `write_elements` stands in for the elements of embedded tensors.
  void leave_out_elements(TensorSink write_elements) {
    write_elements_ = std::move(write_elements);
  }

  // A whole pickle with header and STOP.
  void write(const PickleValue& root);

 private:
  void value(const PickleValue& value);
  void integer(int64_t value);
  void real(double value);
  void text(std::string_view text);
  void bytes(std::string_view bytes);
  void global(std::string_view module, std::string_view name);
  void elements(const std::vector<PickleValue>& elements);
  void dict(const PickleValue& dict);
  void object(const PickleValue& object);
  void tensor(const PickleValue& value);
  void torch_tensor(const Tensor& tensor);
  void embedded_storage(const Tensor& tensor);
  void array(const Tensor& tensor);
  void ordered_dict_header();
  void bytes_header(uint64_t size);

  void code(uint8_t opcode) { put(&opcode, 1); }
  template <class T>
  void raw(T value) {
    put(&value, sizeof value);
  }
  void put(const void* data, size_t size);
  void flush();

  const ByteSink& sink_;
  PersistentId persistent_id_;
  TensorSink write_elements_;
  std::string buffer_;
};

// Name of the torch storage class for a dtype ("HalfStorage"). Error if torch files cannot hold it.
std::string_view storage_class_name(at::ScalarType dtype);

}  // namespace edm2::detail
