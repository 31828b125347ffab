#include "edm2/io/pickle.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "edm2/core/error.h"
#include "support/paths.h"

namespace edm2 {
namespace {

using Kind = PickleValue::Kind;
using namespace std::string_literals;

PickleValue read(const std::string& pickle) {
  return read_pickle(std::as_bytes(std::span(pickle)), "test");
}

std::string read_error(const std::string& pickle) {
  try {
    read(pickle);
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "accepted " << testing::PrintToString(pickle);
  return {};
}

std::string write(const PickleValue& value) {
  std::string out;
  write_pickle(
      [&](std::span<const std::byte> data) {
        out.append(reinterpret_cast<const char*>(data.data()), data.size());
      },
      value);
  return out;
}

// A short text of a value, as Python's repr.
std::string repr(const PickleValue& value) {
  std::string text;
  const auto list = [&](const char* open, const char* close) {
    text = open;
    for (const PickleValue& element : value.elements())
      text += (text.size() > 1 ? ", " : "") + repr(element);
    return text + close;
  };
  switch (value.kind()) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return value.as_bool() ? "True" : "False";
    case Kind::integer:
      return std::to_string(value.as_int());
    case Kind::real:
      return nlohmann::json(value.as_double()).dump();
    case Kind::string:
      return "'" + value.as_string() + "'";
    case Kind::bytes:
      return "b'" + std::string(value.as_bytes()) + "'";
    case Kind::list:
      return list("[", "]");
    case Kind::tuple:
      return list("(", ")");
    case Kind::set:
      return list("<", ">");
    case Kind::dict:
      for (const auto& [key, item] : value.items())
        text += (text.empty() ? "" : ", ") + repr(key) + ": " + repr(item);
      return "{" + text + "}";
    default:
      return value.kind_name();
  }
}

struct Example {
  std::string pickle, expected;
};

void expect_all(const std::vector<Example>& examples) {
  for (const auto& [pickle, expected] : examples) {
    try {
      EXPECT_EQ(repr(read(pickle)), expected) << testing::PrintToString(pickle);
    } catch (const Error& error) {
      ADD_FAILURE() << testing::PrintToString(pickle) << ": " << error.what();
    }
  }
}

TEST(PickleReader, Numbers) {
  expect_all({
      {"N."s, "None"},
      {"\x88."s, "True"},
      {"\x89."s, "False"},
      {"I01\n."s, "True"},
      {"I00\n."s, "False"},
      {"I-12\n."s, "-12"},
      {"L-12L\n."s, "-12"},
      {"L9223372036854775807L\n."s, "9223372036854775807"},
      {"J\xff\xff\xff\xff."s, "-1"},
      {"K\xff."s, "255"},
      {"M\x01\x02."s, "513"},
      {"\x8a\x00."s, "0"},
      {"\x8a\x01\xff."s, "-1"},
      {"\x8a\x02\xff\x00."s, "255"},
      {"\x8a\x08\0\0\0\0\0\0\0\x80."s, "-9223372036854775808"},
      {"\x8b\x02\0\0\0\x00\x80."s, "-32768"},
      {"\x8a\x09\0\0\0\0\0\0\0\x80\0."s, "an integer beyond 64 bits"},
      {"G\x3f\xf8\0\0\0\0\0\0."s, "1.5"},
      {"\x80\x05K\x07."s, "7"},
      {"\x80\x04\x95\x03\0\0\0\0\0\0\0K\x07."s, "7"},
  });
}

TEST(PickleReader, Texts) {
  expect_all({
      {"X\x02\0\0\0hi."s, "'hi'"},
      {"\x8c\x02hi."s, "'hi'"},
      {"\x8d\x02\0\0\0\0\0\0\0hi."s, "'hi'"},
      {"V\\u00e4\xe4\\U0001f600\\n\n."s, "'ää😀\\n'"},
      {"U\x02hi."s, "'hi'"},
      {"T\x02\0\0\0hi."s, "'hi'"},
      {"U\x01\xff."s, "b'\xff'"},
      {"C\x02hi."s, "b'hi'"},
      {"B\x02\0\0\0hi."s, "b'hi'"},
      {"\x8e\x02\0\0\0\0\0\0\0hi."s, "b'hi'"},
      {"\x96\x02\0\0\0\0\0\0\0hi."s, "b'hi'"},
      {"c_codecs\nencode\n(X\x03\0\0\0a\xc3\xbfX\x06\0\0\0latin1tR."s, "b'a\xff'"},
  });
}

TEST(PickleReader, Containers) {
  expect_all({
      {")."s, "()"},
      {"K\x01\x85."s, "(1)"},
      {"K\x01K\x02\x86."s, "(1, 2)"},
      {"K\x01K\x02K\x03\x87."s, "(1, 2, 3)"},
      {"(K\x01t."s, "(1)"},
      {"(t."s, "()"},
      {"]."s, "[]"},
      {"]K\x01"
       "a."s,
       "[1]"},
      {"](K\x01K\x02"
       "e."s,
       "[1, 2]"},
      {"(K\x01l."s, "[1]"},
      {"}."s, "{}"},
      {"}K\x01K\x02s."s, "{1: 2}"},
      {"}(K\x01K\x02K\x01K\x03u."s, "{1: 3}"},
      {"}(NK\x02\x88K\x03K\x01K\x04u."s, "{None: 2, True: 4}"},
      {"(K\x01K\x02"
       "d."s,
       "{1: 2}"},
      {"\x8f(K\x01\x90."s, "<1>"},
      {"(K\x01K\x02\x91."s, "<1, 2>"},
      {"ccollections\nOrderedDict\n)RK\x01K\x02s."s, "{1: 2}"},
      {"ccollections\nOrderedDict\n]K\x01K\x02\x86\x61\x85R."s, "{1: 2}"},
      {"ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x01K\x02s."s, "{1: 2}"},
      {"cdnnlib.util\nEasyDict\n)\x81K\x01K\x02s."s, "{1: 2}"},
      {"c__builtin__\nset\n](K\x01K\x02"
       "e\x85R."s,
       "<1, 2>"},
      {"cbuiltins\ntuple\n](K\x01K\x02"
       "e\x85R."s,
       "(1, 2)"},
      {"cbuiltins\nlist\n)R."s, "[]"},
      {"ctorch\nSize\nK\x03\x85\x85R."s, "(3)"},
      {"ctorch\ndevice\nX\x03\0\0\0cpu\x85R."s, "'cpu'"},
  });
}

TEST(PickleReader, NoBytesAsOldProtocolsWriteThem) {
  expect_all({{"c__builtin__\nbytes\n)R.", "b''"},
              {"\x80\x02"
               "cbuiltins\nbytes\n)R.",
               "b''"}});
  read_error("cbuiltins\nbytes\nK\5\x85R.");  // five zeros, which nobody writes
}

TEST(PickleReader, ATruncatedTextPickleIsCalledSo) {
  EXPECT_TRUE(is_pickle(std::as_bytes(std::span("(dp0\nS'ema'\n", 12))));
  EXPECT_FALSE(is_pickle(std::as_bytes(std::span("(draft) some text", 17))));
}

TEST(PickleReader, StackAndMemo) {
  expect_all({
      {"K\x01K\x02"
       "0."s,
       "1"},
      {"K\x01(K\x02"
       "1."s,
       "1"},
      {"K\x01(0."s, "1"},
      {"K\x01"
       "2\x86."s,
       "(1, 1)"},
      {"K\x01\x94"
       "0h\0."s,
       "1"},
      {"K\x01q\x05"
       "0h\x05."s,
       "1"},
      {"K\x01r\xff\xff\xff\xff"
       "0j\xff\xff\xff\xff."s,
       "1"},
      {"K\x01p7\n0g7\n."s, "1"},
      // A list in the memo is the list, not a copy.
      {"]\x94h\0K\x01"
       "a0h\0."s,
       "[1]"},
      {"]\x94(h\0h\0K\x07"
       "at."s,
       "([7], [7])"},
  });
  const PickleValue shared = read("]\x94h\0\x86."s);
  EXPECT_TRUE(shared.elements()[0].same_as(shared.elements()[1]));
}

TEST(PickleReader, PersistentObjectsAndModules) {
  const std::string meta =
      "}(X\4\0\0\0typeX\5\0\0\0classX\7\0\0\0versionK\6X\12\0\0\0module_srcX\1\0\0\0?"
      "X\12\0\0\0class_nameX\1\0\0\0AX\5\0\0\0state}X\1\0\0\0xK\3su"s;
  const std::string function = "ctorch_utils.persistence\n_reconstruct_persistent_obj\n"s;
  const PickleValue object = read(function + meta + "\x85R."s);
  ASSERT_TRUE(object.is_object());
  EXPECT_EQ(object.class_name(), "A");
  EXPECT_EQ(object.state().at("x").as_int(), 3);

  std::string old = meta;
  old[old.find("K\6"s) + 1] = 5;
  EXPECT_NE(read_error(function + old + "\x85R."s).find("version"), std::string::npos);

  const std::string module_dict = "ctorch.nn.modules.container\nModuleDict\n"s;
  const PickleValue module = read(module_dict + ")\x81}X\1\0\0\0xK\3sb."s);
  EXPECT_EQ(module.module_name(), "torch.nn.modules.container");
  EXPECT_EQ(module.class_name(), "ModuleDict");
  EXPECT_EQ(module.state().at("x").as_int(), 3);
  EXPECT_EQ(repr(read("ccopyreg\n_reconstructor\n("s + module_dict + "cbuiltins\ndict\nNtR."s)),
            "a ModuleDict object");
  read_error(module_dict + ")R."s);
  read_error(module_dict + "K\1\x85\x81."s);
  read_error(module_dict + ")\x81K\1b."s);
}

TEST(PickleReader, ForbiddenGlobalsAreNamed) {
  EXPECT_NE(read_error("cos\nsystem\n(X\4\0\0\0trueftR."s).find("os.system"), std::string::npos);
  EXPECT_NE(read_error("\x8c\2os\x8c\6system\x93."s).find("os.system"), std::string::npos);
  for (const std::string name :
       {"builtins\neval", "builtins\ngetattr", "posix\nsystem", "torch\nload", "torch.storage\n_x",
        "collections\nOrderedDict.update", "numpy\nload", "\n", "dnnlib.util\nopen_url"})
    EXPECT_NE(read_error("c" + name + "\n."s).find("forbidden global"), std::string::npos);
}

TEST(PickleReader, MalformedPicklesAreErrors) {
  const std::vector<std::string> wrong = {
      "",
      ".",
      "N",
      "0.",
      "K",
      "\x80\x06N.",
      "\xff.",
      "1.",
      "t.",
      "u.",
      "]K\1(a.",  // what lies under the mark is out of reach
      "h\0.",     // no such memo entry
      "g-1\n.",
      "gx\n.",
      "I\n.",
      "I1x\n.",
      "L99999999999999999999\n.",
      "S'text'\n.",
      "P1\n.",
      "K\1Q.",  // persistent ids belong to torch files
      "\x82\1.",
      "\x97.",
      "\x98.",
      "(i__main__\nX\n.",
      "(o.",
      "K\1K\2a.",
      "]K\1K\2s.",
      "}K\1s.",
      "}(K\1u.",
      "}]K\1s.",  // a list as a key
      "G\x3f.",
      "B\xff\xff\xff\xffx.",
      "\x8e\xff\xff\xff\xff\xff\xff\xff\xffx.",
      "\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx.",
      "\x8b\xff\xff\xff\xff.",
      "\x8b\x01\x10\0\0"s + std::string(4097, 'x') + ".",
      "V\\u12\n.",
      "V\\Uffffffff\n.",
      "K\1)R.",
      "ccollections\nOrderedDict\nK\1R.",
      "ccollections\nOrderedDict\nK\1\x85R.",
      "ccollections\nOrderedDict\n](K\1e\x85R.",
      "c_codecs\nencode\nX\3\0\0\0\xe2\x82\xac\x85R."s,
      "K\1K\2b.",
      "cbuiltins\nlist\n)\x81.",
      "c" + std::string(10000, 'x'),
  };
  for (const std::string& pickle : wrong) read_error(pickle);
  read_error("h\0."s);
}

TEST(PickleReader, CyclesAreErrors) {
  EXPECT_NE(read_error("]\x94h\0a."s).find("contains itself"), std::string::npos);
  read_error("}\x94K\1h\0s."s);
  read_error("(]\x94h\0at."s);
  // A cycle that is not part of the result: allowed, and must not leak.
  EXPECT_EQ(repr(read("]\x94h\0"
                      "a0K\1."s)),
            "1");
}

TEST(PickleReader, DeepNestingIsAnError) {
  std::string deep = ")";
  for (int i = 0; i < 1'000'000; ++i) deep += '\x85';
  EXPECT_NE(read_error(deep + ".").find("deep"), std::string::npos);
  EXPECT_EQ(repr(read(deep + "0N.")), "None");
  read_error(deep);
  // Every level twice: 2^100 paths, but few values.
  std::string wide = ")";
  for (int i = 0; i < 100; ++i) wide += "2\x86";
  EXPECT_EQ(read(wide + ".").size(), 2u);
}

TEST(PickleReader, CostsAreBounded) {
  EXPECT_NE(read_error(std::string(10'000'000, 'N') + ".").find("too many"), std::string::npos);
  // One text of a megabyte, used as a key again and again.
  std::string keys = "X\0\0\x10\0"s + std::string(1 << 20, 'x') +
                     "\x94"
                     "0}";
  keys += "h\0K\1s"s;
  EXPECT_NE(read_error(keys + ".").find("key"), std::string::npos);
  // A small block of bytes made into arrays again and again.
  std::string arrays = "B\0\0\1\0"s + std::string(1 << 16, 'x') +
                       "\x94"
                       "0";
  arrays += "cnumpy\ndtype\nX\2\0\0\0u1\x85R\x94"s + "0";
  arrays += "cnumpy._core.numeric\n_frombuffer\n\x94"s + "0]";
  for (int i = 0; i < 1000; ++i) arrays += "h\2(h\0h\1J\0\0\1\0\x85X\1\0\0\0CtRa"s;
  EXPECT_NE(read_error(arrays + ".").find("memory"), std::string::npos);
}

// ---- Tensors and arrays

std::string u8(uint64_t value) { return {reinterpret_cast<const char*>(&value), 8}; }

// _load_from_bytes of three floats 1, 2, 3; then offset, size, stride.
constexpr std::string_view magic_number = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
std::string tensor_pickle(const std::string& view, const std::string& protocol = "\x80\x02",
                          const std::string& metadata = "") {
  const std::string stream =
      protocol + std::string(magic_number) + "\x80\x02M\xe9\x03."s +
      "\x80\x02}(X\x10\0\0\0protocol_versionM\xe9\x03X\x0d\0\0\0little_endian\x88u."s +
      "\x80\x02(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0kX\3\0\0\0cpuK\3NtQ."s +
      "\x80\x02]X\1\0\0\0ka."s + u8(3) + "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40"s;
  return "ctorch._utils\n_rebuild_tensor_v2\n(ctorch.storage\n_load_from_bytes\nC"s +
         static_cast<char>(stream.size()) + stream + "\x85R" + view + "\x89}" + metadata + "tR.";
}

TEST(PickleTensors, ViewsOfAStorage) {
  const auto tensor = [](const std::string& view) { return read(tensor_pickle(view)).as_tensor(); };
  EXPECT_TRUE(at::equal(tensor("K\0K\3\x85K\1\x85"s), at::tensor({1.f, 2.f, 3.f})));
  EXPECT_TRUE(at::equal(tensor("K\2))"s), at::full({}, 3.f)));
  EXPECT_TRUE(
      at::equal(tensor("K\1K\1K\2\x86K\7K\1\x86"s), at::tensor({2.f, 3.f}).reshape({1, 2})));
  const Tensor strided = tensor("K\0K\2\x85K\2\x85"s);
  EXPECT_TRUE(at::equal(strided, at::tensor({1.f, 3.f})));
  EXPECT_TRUE(strided.is_contiguous());
  EXPECT_EQ(tensor("K\0K\0K\5\x86K\5K\1\x86"s).sizes(), (at::IntArrayRef{0, 5}));
}

TEST(PickleTensors, StreamsOfTorchInEveryProtocol) {
  const std::string frame = "\x95" + u8(magic_number.size());
  for (const std::string& protocol :
       {"\x80\x02"s, "\x80\x03"s, "\x80\x04" + frame, "\x80\x05" + frame})
    EXPECT_TRUE(at::equal(read(tensor_pickle("K\0K\3\x85K\1\x85"s, protocol)).as_tensor(),
                          at::tensor({1.f, 2.f, 3.f})));
  read_error(tensor_pickle("K\0K\3\x85K\1\x85"s, "\x80\x01"));
}

TEST(PickleTensors, ElementsThatCountNegatedAreRefused) {
  const auto with = [](const std::string& metadata) {
    return tensor_pickle("K\0K\3\x85K\1\x85"s, "\x80\x02", metadata);
  };
  for (const char* bit : {"neg", "con"})
    EXPECT_NE(read_error(with("}X\3\0\0\0"s + bit + "\x88s")).find("resolve_neg"),
              std::string::npos);
  for (const std::string& metadata : {"}"s, "N"s, "}X\3\0\0\0neg\x89s"s})
    EXPECT_TRUE(at::equal(read(with(metadata)).as_tensor(), at::tensor({1.f, 2.f, 3.f})));
}

TEST(PickleTensors, ImpossibleViewsAreErrors) {
  const std::string big = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"s;
  for (const std::string& view : {
           "K\0K\4\x85K\1\x85"s,                  // too long
           "K\1K\3\x85K\1\x85"s,                  // offset too large
           "K\0K\2\x85K\3\x85"s,                  // stride too large
           "J\xff\xff\xff\xffK\1\x85K\1\x85"s,    // negative offset
           "K\0J\xff\xff\xff\xff\x85K\1\x85"s,    // negative size
           "K\2K\3\x85J\xff\xff\xff\xff\x85"s,    // negative stride
           "K\0K\2K\2\x86K\1K\1\x86"s,            // overlaps itself
           "K\0" + big + "\x85K\0\x85",           // one element, many times
           "K\0" + big + big + "\x86K\1K\1\x86",  // overflow
           "K\0K\0" + big + "\x86K\1K\1\x86",     // empty with an overflowing shape
           "K\0K\2\x85" + big + "\x85",           // overflowing stride
           big + "K\2\x85" + big + "\x85",
           "K\0K\3\x85)"s,  // a stride is missing
           "K\0K\3K\1"s,
           "NNN"s,
       })
    read_error(tensor_pickle(view));
}

TEST(PickleTensors, EveryTruncationIsAnError) {
  const std::string whole = write(PickleValue::dict(
      {{"w", PickleValue::parameter(at::ones({2}))}, {"a", PickleValue::ndarray(at::ones({2}))}}));
  ASSERT_EQ(read(whole).size(), 2u);
  for (size_t size = 0; size < whole.size(); ++size) read_error(whole.substr(0, size));
}

std::string array_pickle(const std::string& dtype, const std::string& shape, bool fortran,
                         const std::string& data) {
  const std::string empty =
      "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85"s + "C\1btR"s;
  const std::string type = "cnumpy\ndtype\n(X\2\0\0\0"s + dtype + "\x89\x88tR" +
                           "(K\3X\1\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"s;
  return empty + "(K\1"s + shape + type + (fortran ? "\x88" : "\x89") + "C" +
         static_cast<char>(data.size()) + data + "tb.";
}

TEST(PickleTensors, NumpyArrays) {
  const std::string data(u8(0x3ff0000000000000) + u8(0x4000000000000000));  // 1.0, 2.0
  const PickleValue array = read(array_pickle("f8", "K\2\x85", false, data));
  EXPECT_EQ(array.tensor_type(), PickleValue::TensorType::ndarray);
  EXPECT_TRUE(at::equal(array.as_tensor(), at::tensor({1., 2.}, at::kDouble)));
  // Fortran order: the first axis runs fastest.
  const std::string shorts = "\1\0\2\0\3\0\4\0"s;
  const Tensor fortran = read(array_pickle("i2", "K\2K\2\x86", true, shorts)).as_tensor();
  EXPECT_TRUE(at::equal(fortran, at::tensor({1, 3, 2, 4}, at::kShort).reshape({2, 2})));
  EXPECT_TRUE(fortran.is_contiguous());

  const std::string dtype = "cnumpy\ndtype\nX\2\0\0\0f8\x85R"s;
  const std::string scalar = "cnumpy._core.multiarray\nscalar\n"s + dtype + "C\x08";
  EXPECT_EQ(repr(read(scalar + data.substr(0, 8) + "\x86R.")), "1.0");
  const std::string buffer = "cnumpy._core.numeric\n_frombuffer\n(\x96"s + u8(16) + data + dtype;
  EXPECT_TRUE(at::equal(read(buffer + "K\2\x85X\1\0\0\0CtR."s).as_tensor(),
                        at::tensor({1., 2.}, at::kDouble)));

  read_error(array_pickle("f8", "K\3\x85", false, data));  // too short
  read_error(array_pickle("O8", "K\2\x85", false, data));
  read_error(array_pickle("f8", "J\xff\xff\xff\xff\x85", false, data));
  read_error("cnumpy\ndtype\nX\3\0\0\0>f8\x85R."s);
  read_error(scalar + data.substr(0, 8) + "\x85R.");
  read_error("cnumpy._core.multiarray\nscalar\nK\1C\0\x86R."s);
}

TEST(PickleTensorsGolden, StatisticsOfTheOriginal) {
  EDM2_REQUIRE_REFERENCE();
  const PickleValue root = read_pickle_file(test::reference_dir() / "metrics" / "stats.pkl");
  for (const char* metric : {"fid", "fd_dinov2"}) {
    const Tensor sigma = root.at(metric).at("sigma").as_tensor();
    EXPECT_EQ(sigma.scalar_type(), at::kDouble);
    EXPECT_EQ(sigma.dim(), 2);
    EXPECT_TRUE(at::allclose(sigma, sigma.t()));
  }
}

TEST(PickleTensorsGolden, ToySnapshots) {
  EDM2_REQUIRE_REFERENCE();
  const PickleValue root = read_pickle_file(test::reference_dir() / "toy" / "snap" /
                                            "clsA-layers04-dim32-b1024-iter0060.pkl");
  EXPECT_TRUE(root.is_object() || root.is_dict()) << root.kind_name();
}

// ---- Writer

TEST(PickleWriter, KeepsEveryValue) {
  const PickleValue value =
      PickleValue::dict({{"none", {}},
                         {"flags", PickleValue::tuple({true, false})},
                         {"numbers", PickleValue::list({0, -1, 2147483647, int64_t{-2147483649},
                                                        0.1, std::numeric_limits<int64_t>::min()})},
                         {"text", "ä \n"},
                         {"bytes", PickleValue::bytes("\0\xff"s)},
                         {"set", PickleValue::set({1, 2})},
                         {"empty", PickleValue::list({PickleValue::list(), PickleValue::tuple(),
                                                      PickleValue::set(), PickleValue::dict()})},
                         {7, PickleValue::dict({{"x", 1}}, PickleValue::DictType::easy)}});
  const PickleValue copy = read(write(value));
  EXPECT_EQ(repr(copy), repr(value));
  EXPECT_EQ(copy.at(7).dict_type(), PickleValue::DictType::easy);
  EXPECT_EQ(write(copy), write(value));
}

TEST(PickleWriter, KeepsTensorsObjectsAndArrays) {
  const Tensor weight = at::arange(6, at::kHalf).reshape({2, 3});
  const PickleValue value = PickleValue::persistent(
      "Net",
      PickleValue::dict({{"tensor", weight.t()},
                         {"parameter", PickleValue::parameter(weight)},
                         {"array", PickleValue::ndarray(weight.to(at::kDouble))},
                         {"child", PickleValue::module("torch.nn.modules.container", "Sequential",
                                                       PickleValue::dict({{"x", 1}}))}}),
      "pass");
  const PickleValue copy = read(write(value));
  EXPECT_EQ(copy.class_name(), "Net");
  EXPECT_TRUE(at::equal(copy.state().at("tensor").as_tensor(), weight.t()));
  EXPECT_EQ(copy.state().at("parameter").tensor_type(), PickleValue::TensorType::parameter);
  EXPECT_TRUE(at::equal(copy.state().at("array").as_tensor(), weight.to(at::kDouble)));
  EXPECT_EQ(copy.state().at("child").class_name(), "Sequential");
  EXPECT_EQ(copy.state().at("child").state().at("x").as_int(), 1);
}

TEST(PickleWriter, WritesFilesThatAppearWhole) {
  const test::TempDir dir;
  write_pickle_file(dir / "x.pkl", PickleValue::list({1, 2}));
  EXPECT_EQ(repr(read_pickle_file(dir / "x.pkl")), "[1, 2]");
  EXPECT_THROW(write_pickle_file(dir / "y.pkl", PickleValue(at::ones({1}, at::kComplexFloat))),
               Error);
  EXPECT_FALSE(std::filesystem::exists(dir / "y.pkl"));
}

TEST(PickleValue, AccessorsSayWhatIsWrong) {
  const auto message = [](const std::function<void()>& access) -> std::string {
    try {
      access();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const PickleValue dict = PickleValue::dict({{"net", 3}});
  EXPECT_EQ(message([&] { dict.at("ema"); }), "the key \"ema\" is missing");
  EXPECT_EQ(message([&] { dict.at("net").as_string(); }), "expected a string, found an integer");
  EXPECT_EQ(message([&] { dict.at("net").at("x"); }), "expected a dict, found an integer");
  EXPECT_EQ(message([&] { dict.as_tensor(); }), "expected a tensor, found a dict");
  EXPECT_EQ(message([&] { PickleValue().as_double(); }), "expected a number, found None");
  EXPECT_EQ(message([&] { PickleValue(2).as_bool(); }), "expected a bool, found an integer");
  EXPECT_EQ(message([&] { PickleValue(1.5).as_int(); }), "expected an integer, found a float");
  EXPECT_EQ(message([&] { PickleValue::tuple().append(1); }), "expected a list, found a tuple");
  EXPECT_EQ(message([&] { to_state_dict(dict); }),
            "expected a tensor under the key \"net\", found an integer");
}

// ---- Random pickles

RC_GTEST_PROP(PickleReaderProperty, RandomOpcodesNeverCrash, ()) {
  // Opcodes with plausible arguments, in any order.
  static const std::vector<std::string> pieces = {
      "(",
      ".",
      "0",
      "1",
      "2",
      "N",
      "\x88",
      "\x89",
      "K\1",
      "J\1\0\0\0"s,
      "G\x3f\xf8\0\0\0\0\0\0"s,
      "X\1\0\0\0x"s,
      "C\1x",
      ")",
      "t",
      "\x85",
      "\x86",
      "\x87",
      "]",
      "l",
      "a",
      "e",
      "}",
      "d",
      "s",
      "u",
      "\x8f",
      "\x90",
      "\x91",
      "h\0"s,
      "h\1",
      "q\0"s,
      "\x94",
      "R",
      "b",
      "\x81",
      "\x92",
      "\x93",
      "Q",
      "ccollections\nOrderedDict\n",
      "cdnnlib.util\nEasyDict\n",
      "ctorch.storage\n_load_from_bytes\n",
      "ctorch._utils\n_rebuild_tensor_v2\n",
      "ctorch.nn.modules.container\nModuleDict\n",
      "cnumpy\ndtype\n",
      "cnumpy\nndarray\n",
      "cnumpy.core.multiarray\n_reconstruct\n",
      "X\2\0\0\0f8"s,
      "cbuiltins\nlist\n",
      "cbuiltins\ndict\n",
      "ctorch_utils.persistence\n_reconstruct_persistent_obj\n"};
  std::string pickle;
  for (const size_t i :
       *rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(0, pieces.size())))
    pickle += pieces[i];
  try {
    read(pickle + ".");
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace edm2
