#include "edm2/io/torch_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "edm2/io/npz.h"
#include "edm2/io/zip.h"
#include "support/paths.h"
#include "support/python.h"

namespace edm2 {
namespace {

using Kind = PickleValue::Kind;

PickleValue example_state() {
  const Tensor weight = at::arange(12, at::kFloat).reshape({3, 4});
  return PickleValue::dict(
      {{"state", PickleValue::dict({{"cur_nimg", 2048}, {"total_elapsed_time", 1.5}})},
       {"net", to_pickle({{"b.weight", weight}, {"a.gain", at::full({}, 0.25)}})},
       {"optimizer",
        PickleValue::dict(
            {{"state", PickleValue::dict({{0, PickleValue::dict({{"step", at::full({}, 3.0f)}})}})},
             {"param_groups",
              PickleValue::list({PickleValue::dict({{"lr", 1e-2},
                                                    {"betas", PickleValue::tuple({0.9, 0.99})},
                                                    {"foreach", {}},
                                                    {"amsgrad", false},
                                                    {"params", PickleValue::list({0, 1})}})})}})},
       {"big", int64_t{1} << 40},
       {"ema", {}}});
}

TEST(TorchFile, KeepsEveryValue) {
  const test::TempDir dir;
  save_torch_file(dir / "training-state-0000002.pt", example_state());
  const PickleValue root = load_torch_file(dir / "training-state-0000002.pt");

  EXPECT_EQ(root.at("state").at("cur_nimg").as_int(), 2048);
  EXPECT_EQ(root.at("state").at("total_elapsed_time").as_double(), 1.5);
  const StateDict net = to_state_dict(root.at("net"));
  ASSERT_EQ(net.size(), 2u);
  EXPECT_EQ(net[0].first, "b.weight");
  EXPECT_TRUE(at::equal(net[0].second, at::arange(12, at::kFloat).reshape({3, 4})));
  EXPECT_EQ(net[1].second.sizes(), at::IntArrayRef{});
  EXPECT_EQ(root.at("net").dict_type(), PickleValue::DictType::ordered);
  const PickleValue& group = root.at("optimizer").at("param_groups").elements()[0];
  EXPECT_EQ(group.at("betas").as_doubles(), (std::vector<double>{0.9, 0.99}));
  EXPECT_TRUE(group.at("foreach").is_none());
  EXPECT_FALSE(group.at("amsgrad").as_bool());
  EXPECT_EQ(group.at("params").as_ints(), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(root.at("optimizer").at("state").at(0).at("step").as_tensor().item<float>(), 3);
  EXPECT_EQ(root.at("big").as_int(), int64_t{1} << 40);
  EXPECT_TRUE(root.at("ema").is_none());
}

TEST(TorchFile, KeepsEveryTypeOfTensor) {
  const test::TempDir dir;
  const std::vector<at::ScalarType> types = {at::kHalf, at::kFloat, at::kDouble, at::kBFloat16,
                                             at::kByte, at::kChar,  at::kShort,  at::kInt,
                                             at::kLong, at::kBool};
  PickleValue root = PickleValue::dict();
  const Tensor values = at::tensor({0, 1, 3, 0, 100, 7}).reshape({2, 3});
  for (const auto type : types) root.set(std::string(c10::toString(type)), values.to(type).t());
  root.set("empty", at::empty({0, 4}));
  save_torch_file(dir / "x.pt", root);
  const PickleValue read = load_torch_file(dir / "x.pt");
  for (const auto type : types) {
    const Tensor tensor = read.at(std::string(c10::toString(type))).as_tensor();
    EXPECT_EQ(tensor.scalar_type(), type);
    EXPECT_TRUE(tensor.is_contiguous());
    EXPECT_TRUE(at::equal(tensor, values.to(type).t())) << type;
  }
  EXPECT_EQ(read.at("empty").as_tensor().sizes(), (at::IntArrayRef{0, 4}));
}

TEST(TorchFile, RefusesWhatTorchFilesCannotHold) {
  const test::TempDir dir;
  const std::vector<PickleValue> odd = {PickleValue::bytes("x"), PickleValue::set(),
                                        PickleValue::ndarray(at::ones({2})),
                                        at::ones({2}, at::kComplexFloat)};
  for (const auto& value : odd)
    EXPECT_THROW(save_torch_file(dir / "x.pt", value), Error) << value.kind_name();
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(TorchFile, ExtraEntriesStandBesideThePickle) {
  const test::TempDir dir;
  save_torch_file(dir / "x.pt", at::ones({2}), {{"a.json", "{}"}, {"b/c", ""}});
  EXPECT_TRUE(at::equal(load_torch_file(dir / "x.pt").as_tensor(), at::ones({2})));
  const auto extra = [&](const char* file, const char* name) {
    const std::string contents = read_text_file(dir / file);
    return read_torch_extra(std::as_bytes(std::span(contents)), name);
  };
  EXPECT_EQ(extra("x.pt", "a.json"), "{}");
  EXPECT_EQ(extra("x.pt", "b/c"), "");
  EXPECT_EQ(extra("x.pt", "d"), std::nullopt);
  ZipWriter zip(dir / "flat.pt");  // some tools leave the folder out
  zip.add("data.pkl", std::string_view("\x80\x02N.", 4));
  zip.add("a.json", "[]");
  zip.finish();
  EXPECT_EQ(extra("flat.pt", "a.json"), "[]");
  write_file(dir / "other", "no zip");
  EXPECT_EQ(extra("other", "a.json"), std::nullopt);
}

TEST(TorchFile, EveryTruncationIsAnError) {
  const test::TempDir dir;
  save_torch_file(dir / "x.pt", PickleValue::dict({{"w", at::ones({5})}}));
  const std::string whole = read_text_file(dir / "x.pt");
  for (size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(dir / "cut.pt", std::ios::binary) << whole.substr(0, size);
    EXPECT_THROW(load_torch_file(dir / "cut.pt"), Error) << size;
  }
}

TEST(TorchFile, ADamagedTensorIsAnError) {
  const test::TempDir dir;
  save_torch_file(dir / "x.pt", at::full({64}, 1.0f));
  std::string whole = read_text_file(dir / "x.pt");
  const size_t ones = whole.find(std::string("\0\0\x80\x3f\0\0\x80\x3f", 8));
  ASSERT_NE(ones, std::string::npos);
  whole[ones + 5] ^= 1;
  write_file(dir / "x.pt", whole);
  EXPECT_THROW(load_torch_file(dir / "x.pt"), Error);
}

// A file whose root is the storage ('storage', torch.FloatStorage, '0', 'cpu', 4) with these data.
std::string storage_error(const std::string& data) {
  using namespace std::string_literals;
  const test::TempDir dir;
  ZipWriter zip(dir / "x.pt");
  zip.add("x/data.pkl", std::string_view("\x80\x02(X\7\0\0\0storagectorch\nFloatStorage\n"
                                         "X\1\0\0\0000X\3\0\0\0cpuK\4tQ."s));
  zip.add("x/data/0", data);
  zip.finish();
  try {
    load_torch_file(dir / "x.pt");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TorchFile, AStorageMustHaveTheSizeItClaims) {
  EXPECT_EQ(storage_error(std::string(16, '\0')), "");
  EXPECT_NE(storage_error(std::string(12, '\0')).find("larger than the data"), std::string::npos);
  EXPECT_NE(storage_error(std::string(20, '\0')).find("unexpected size"), std::string::npos);
}

// What torch.jit.save writes for a module M with a list [3] and a submodule that has a weight.
TEST(TorchFile, ModulesOfTorchScriptAreObjectsWithAttributes) {
  using namespace std::string_literals;
  const std::string pickle =
      "\x80\x02"
      "c__torch__\nM\n)\x81}("
      "X\4\0\0\0listctorch.jit._pickle\nbuild_intlist\n](K\3e\x85R"
      "X\4\0\0\0convc__torch__.torch.nn.modules.conv.___torch_mangle_0\nConv2d\n)\x81}("
      "X\6\0\0\0weightctorch._utils\n_rebuild_tensor_v2\n("
      "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\2tQ"
      "K\0K\2\x85K\1\x85\x89"
      "ccollections\nOrderedDict\n)RtR"
      "ubub."s;
  const test::TempDir dir;
  ZipWriter zip(dir / "x.pt");
  zip.add("x/data.pkl", pickle);
  zip.add("x/data/0", std::string_view("\0\0\x80\x3f\0\0\0\x40", 8));
  zip.finish();
  const PickleValue root = load_torch_file(dir / "x.pt");
  EXPECT_EQ(root.module_name(), "__torch__");
  EXPECT_EQ(root.class_name(), "M");
  EXPECT_EQ(root.state().at("list").as_ints(), std::vector<int64_t>{3});
  const PickleValue& conv = root.state().at("conv");
  EXPECT_EQ(conv.class_name(), "Conv2d");
  EXPECT_TRUE(at::equal(conv.state().at("weight").as_tensor(), at::tensor({1.f, 2.f})));
  // Nowhere else.
  EXPECT_THROW(read_pickle(std::as_bytes(std::span(pickle)), "x"), Error);
}

TEST(TorchFile, OtherFilesAreRefused) {
  const test::TempDir dir;
  write_file(dir / "empty", std::string_view());
  write_file(dir / "text", "hello");
  write_file(dir / "pickle", std::string_view("\x80\x04N.", 4));
  ZipWriter zip(dir / "zip");
  zip.add("readme", "no torch here");
  zip.finish();
  for (const char* name : {"empty", "text", "pickle", "zip", "absent"})
    EXPECT_THROW(load_torch_file(dir / name), Error) << name;
}

TEST(TorchFileGolden, ReadsATrainingStateOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const auto folder = test::reference_dir() / "training" / "main";
  const PickleValue root = load_torch_file(folder / "training-state-0000001.pt");
  EXPECT_EQ(root.at("state").at("cur_nimg").as_int(), 1024);
  EXPECT_EQ(root.at("loss_fn").at("P_mean").as_double(), -0.4);
  const PickleValue& group = root.at("optimizer").at("param_groups").elements()[0];
  EXPECT_GT(group.at("lr").as_double(), 0);  // a numpy scalar
  const StateDict net = to_state_dict(root.at("net"));
  EXPECT_EQ(net.front().first, "unet.out_gain");
  EXPECT_EQ(root.at("ema").at("emas").elements().size(), 2u);
  EXPECT_EQ(root.at("ema").at("stds").as_doubles(), (std::vector<double>{0.05, 0.1}));
  // Buffers do not change during training.
  const NpzFile initial(folder / "weights_init.npz");
  for (const char* name : {"unet.emb_fourier.freqs", "logvar_fourier.phases"})
    EXPECT_TRUE(at::equal(find_tensor(net, name), initial.get(name))) << name;
}

TEST(TorchFileGolden, ReadsDetectorWeights) {
  EDM2_REQUIRE_REFERENCE();
  const PickleValue root = load_torch_file(test::reference_dir() / "metrics" / "tiny_dinov2.pth");
  const StateDict weights = to_state_dict(root);
  EXPECT_TRUE(find_tensor(weights, "cls_token").defined());
}

// ---- PyTorch as a partner

TEST(TorchFileInterop, TorchLoadsWhatWeWrite) {
  const std::string python = test::find_python("torch");
  if (python.empty()) GTEST_SKIP() << "no Python with torch (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  PickleValue root = example_state();
  root.set("half", at::tensor({1, 2}).to(at::kHalf));
  root.set("flags", at::tensor({1, 0}).to(at::kBool));
  root.set("text", "ä");
  save_torch_file(dir / "x.pt", root);
  EXPECT_EQ(test::run_interop_script(python, "torch_file.py", {"load", dir / "x.pt"}),
            "root dict\n"
            "root.state dict\n"
            "root.state.cur_nimg 2048\n"
            "root.state.total_elapsed_time 1.5\n"
            "root.net OrderedDict\n"
            "root.net.b.weight float32 [3, 4] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, "
            "10.0, 11.0]\n"
            "root.net.a.gain float32 [] [0.25]\n"
            "root.optimizer dict\n"
            "root.optimizer.state dict\n"
            "root.optimizer.state.0 dict\n"
            "root.optimizer.state.0.step float32 [] [3.0]\n"
            "root.optimizer.param_groups list\n"
            "root.optimizer.param_groups.0 dict\n"
            "root.optimizer.param_groups.0.lr 0.01\n"
            "root.optimizer.param_groups.0.betas tuple\n"
            "root.optimizer.param_groups.0.betas.0 0.9\n"
            "root.optimizer.param_groups.0.betas.1 0.99\n"
            "root.optimizer.param_groups.0.foreach None\n"
            "root.optimizer.param_groups.0.amsgrad False\n"
            "root.optimizer.param_groups.0.params list\n"
            "root.optimizer.param_groups.0.params.0 0\n"
            "root.optimizer.param_groups.0.params.1 1\n"
            "root.big 1099511627776\n"
            "root.ema None\n"
            "root.half float16 [2] [1.0, 2.0]\n"
            "root.flags bool [2] [1.0, 0.0]\n"
            "root.text 'ä'\n");
}

TEST(TorchFileInterop, WeReadWhatTorchWrites) {
  const std::string python = test::find_python("torch");
  if (python.empty()) GTEST_SKIP() << "no Python with torch (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  test::run_interop_script(python, "torch_file.py", {"save", dir.path()});
  const Tensor base = at::arange(12, at::kFloat);
  for (const char* name : {"zip.pt", "legacy.pt"}) {
    const PickleValue root = load_torch_file(dir / name);
    const auto tensor = [&](const char* key) { return root.at(key).as_tensor(); };
    EXPECT_TRUE(at::equal(tensor("view"), base.reshape({3, 4}).t())) << name;
    EXPECT_TRUE(tensor("view").is_contiguous());
    EXPECT_TRUE(at::equal(tensor("same"), base));
    EXPECT_TRUE(at::equal(tensor("part"), base.slice(0, 5, 7)));
    EXPECT_TRUE(at::equal(tensor("half"), at::tensor({1.5, -2.}).to(at::kHalf)));
    EXPECT_TRUE(at::equal(tensor("bfloat"), at::tensor({1.5, -2.}).to(at::kBFloat16)));
    EXPECT_TRUE(at::equal(tensor("flags"), at::tensor({1, 0}).to(at::kBool)));
    EXPECT_EQ(root.at("parameter").tensor_type(), PickleValue::TensorType::parameter);
    EXPECT_EQ(root.at("state").at("a").as_tensor().item<int64_t>(), 7);
    EXPECT_TRUE(root.at("state").at("b").is_none());
    const auto& numbers = root.at("numbers").elements();
    EXPECT_EQ(numbers.at(1).as_double(), 2.5);
    EXPECT_EQ(numbers.at(2).as_int(), int64_t{1} << 40);
    EXPECT_EQ(numbers.at(3).as_int(), -(int64_t{1} << 40));
    EXPECT_EQ(numbers.at(5).elements().at(1).size(), 0u);
    EXPECT_EQ(root.at("text").as_string(), "ä");
  }
}

}  // namespace
}  // namespace edm2
