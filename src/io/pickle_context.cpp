#include <ATen/ATen.h>

#include <limits>
#include <new>
#include <unordered_map>

#include "io/pickle_machine.h"

namespace edm2::detail {
namespace {

constexpr int deepest = 200;  // a snapshot needs about 20

size_t child_count(const PickleValue& value) {
  if (const auto* sequence = pickle_as<PickleSequence>(value)) return sequence->elements.size();
  if (const auto* dict = pickle_as<PickleDict>(value)) return 2 * dict->items.size();
  return pickle_object(value) ? 1 : 0;
}

const PickleValue& child(const PickleValue& value, size_t i) {
  if (const auto* sequence = pickle_as<PickleSequence>(value)) return sequence->elements[i];
  if (const auto* dict = pickle_as<PickleDict>(value))
    return i % 2 ? dict->items[i / 2].second : dict->items[i / 2].first;
  return pickle_object(value)->state;
}

void drop_children(const PickleValue& value) {
  if (auto* sequence = pickle_as<PickleSequence>(value)) sequence->elements.clear();
  if (auto* dict = pickle_as<PickleDict>(value)) {
    dict->index.clear();
    dict->items.clear();
  }
  if (auto* object = pickle_object(value)) object->state = {};
}

void make_independent(const PickleValue& value, PickleContext& context) {
  if (auto* bytes = pickle_as<PickleBytes>(value)) bytes->own();
  auto* tensor = pickle_as<PickleTensor>(value);
  if (tensor && !tensor->tensor.is_contiguous()) {
    context.spend_bytes(tensor->tensor.nbytes());
    tensor->tensor = tensor->tensor.contiguous();
  }
}

// Depth-first, without recursion. height: levels of nesting below; 0 while the node is being
// visited.
class Visitor {
 public:
  explicit Visitor(PickleContext& context) : context_(context) {}

  void visit(const PickleValue& root) {
    enter(root);
    while (!path_.empty()) {
      Frame& frame = path_.back();
      if (frame.next_child < child_count(frame.value))
        enter(child(frame.value, frame.next_child++));
      else
        leave();
    }
  }
  bool reached(const PickleValue& value) const { return height_.contains(value.node().get()); }

 private:
  struct Frame {
    PickleValue value;
    size_t next_child = 0;
    int height = 1;
  };

  void enter(const PickleValue& value) {
    if (value.is_none()) return;
    const auto [entry, is_new] = height_.try_emplace(value.node().get(), 0);
    if (!is_new) {
      if (entry->second == 0) throw Error("a value contains itself");
      note_child(entry->second);
      return;
    }
    if (path_.size() >= deepest) too_deep();
    path_.push_back({value});
  }

  void leave() {
    const int height = path_.back().height;
    if (height > deepest) too_deep();
    make_independent(path_.back().value, context_);
    height_[path_.back().value.node().get()] = height;
    path_.pop_back();
    note_child(height);
  }

  void note_child(int child_height) {
    if (!path_.empty()) path_.back().height = std::max(path_.back().height, child_height + 1);
  }

  [[noreturn]] static void too_deep() {
    throw Error("values are nested more than " + std::to_string(deepest) + " levels deep");
  }

  PickleContext& context_;
  std::vector<Frame> path_;
  std::unordered_map<const PickleNode*, int> height_;
};

}  // namespace

PickleContext::~PickleContext() {
  // All containers are still referred to from here, so that emptying one never destroys another.
  for (const PickleValue& container : containers_) drop_children(container);
}

void PickleContext::spend_operations(uint64_t count) {
  if (count > operations_left_) throw Error("the pickle has too many values");
  operations_left_ -= count;
}

void PickleContext::spend_bytes(uint64_t count) {
  if (count > bytes_left_)
    throw Error("the arrays need more memory than a file of this size holds");
  bytes_left_ -= count;
}

PickleValue PickleContext::adopt(PickleValue container) {
  containers_.push_back(container);
  return container;
}

PickleValue PickleContext::finish(PickleValue root) {
  Visitor visitor(*this);
  visitor.visit(root);
  std::erase_if(containers_, [&](const PickleValue& value) { return visitor.reached(value); });
  return root;
}

PickleValue guarded_read(const std::string& name, const std::function<PickleValue()>& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(name + ": " + error.what());
  } catch (const c10::Error& error) {
    throw Error(name + ": " + error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw Error(name + ": not enough memory to read it");
  }
}

}  // namespace edm2::detail
