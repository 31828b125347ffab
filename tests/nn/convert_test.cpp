#include "edm2/nn/convert.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>

#include "edm2/core/error.h"
#include "edm2/io/atomic_file.h"
#include "support/paths.h"
#include "support/python.h"
#include "support/small_models.h"

namespace edm2 {
namespace {

namespace fs = std::filesystem;

// Keeps the lines; does something when one of them begins so.
class Listener : public Progress {
 public:
  void message(const std::string& line) override {
    lines.push_back(line);
    if (!prefix.empty() && line.starts_with(prefix)) action();
  }
  void start(const std::string&, int64_t, const std::string&) override {}
  void advance(int64_t) override {}
  void finish() override {}

  bool heard(const std::string& text) const {
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    });
  }

  std::vector<std::string> lines;
  std::string prefix;
  std::function<void()> action;
};

ConvertOptions from_to(const fs::path& input, const fs::path& output) {
  ConvertOptions options;
  options.input = input;
  options.output = output;
  return options;
}

TEST(Convert, EveryPairOfFormatsKeepsEveryBit) {
  const test::TempDir dir;
  const std::vector<std::string> extensions = {".pkl", ".safetensors", ".pt"};
  for (const auto dtype : {at::kHalf, at::kFloat, at::kBFloat16, at::kDouble}) {
    Snapshot snapshot = test::random_snapshot(test::tiny_options(3), dtype);
    for (size_t i = 0; i < snapshot.tensors.size(); i += 3)  // not all of one type
      snapshot.tensors[i].second = snapshot.tensors[i].second.to(at::kFloat);
    for (const auto& from : extensions) {
      save_snapshot(dir / ("a" + from), snapshot, snapshot_format_for("a" + from));
      for (const auto& to : extensions) {
        ConvertOptions options = from_to(dir / ("a" + from), dir / ("b" + to));
        options.check = true;
        Listener listener;
        convert_snapshot(options, listener);
        EXPECT_TRUE(listener.heard("converted back")) << from << to;
        test::expect_same_snapshot(load_snapshot(dir / ("b" + to)), snapshot);
        convert_snapshot(from_to(dir / ("b" + to), dir / ("c" + from)), listener);
        test::expect_same_snapshot(load_snapshot(dir / ("c" + from)), snapshot);
        EXPECT_EQ(read_text_file(dir / ("c" + from)).size(),
                  read_text_file(dir / ("a" + from)).size());
      }
    }
  }
  EXPECT_FALSE(fs::exists(dir / "b.pkl.check"));
}

TEST(Convert, TheCheckFindsWhatChanged) {
  const test::TempDir dir;
  save_snapshot(dir / "a.pkl", test::random_snapshot(test::tiny_options(3)),
                SnapshotFormat::pickle);
  for (const char* output : {"b.pkl", "b.safetensors", "b.pt"}) {
    ConvertOptions options = from_to(dir / "a.pkl", dir / output);
    options.check = true;
    Listener listener;
    listener.prefix = "Saved";
    listener.action = [&] {  // someone else writes the file meanwhile
      Snapshot other = load_snapshot(dir / output);
      other.tensors[7].second = other.tensors[7].second.clone();
      other.tensors[7].second.flatten()[0].add_(1);
      save_snapshot(dir / output, other, snapshot_format_for(output));
    };
    try {
      convert_snapshot(options, listener);
      ADD_FAILURE() << output;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("check failed"), std::string::npos) << error.what();
    }
    EXPECT_FALSE(listener.heard("Checked"));
  }
}

TEST(Convert, OverflowsAreRefusedBeforeAnythingIsWritten) {
  const test::TempDir dir;
  Snapshot snapshot = test::random_snapshot(test::tiny_options(3), at::kFloat);
  snapshot.tensors[1].second[0] = 1e6f;
  save_snapshot(dir / "a.pkl", snapshot, SnapshotFormat::pickle);
  ConvertOptions options = from_to(dir / "a.pkl", dir / "b.pkl");
  options.precision = at::kHalf;
  Listener listener;
  try {
    convert_snapshot(options, listener);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1 values"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(snapshot.tensors[1].first), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(dir / "b.pkl"));
  options.precision = at::kBFloat16;
  convert_snapshot(options, listener);
  EXPECT_TRUE(listener.heard("values rounded"));
  for (const auto& [name, tensor] : load_snapshot(dir / "b.pkl").tensors)
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16);
}

TEST(Convert, FoldedWeightsTravelAsSuch) {
  const test::TempDir dir;
  const Snapshot snapshot = test::small_snapshot(3);
  save_snapshot(dir / "a.pkl", snapshot, SnapshotFormat::pickle);
  Listener listener;
  for (const char* output : {"b.safetensors", "b.pt"}) {
    ConvertOptions options = from_to(dir / "a.pkl", dir / output);
    options.fold = options.check = true;
    convert_snapshot(options, listener);
    test::expect_same_snapshot(load_snapshot(dir / output), fold(snapshot));
  }
  convert_snapshot(from_to(dir / "b.pt", dir / "c.safetensors"), listener);
  test::expect_same_snapshot(load_snapshot(dir / "c.safetensors"), fold(snapshot));
  // The original's tools would normalise the weights again and lose the gains.
  EXPECT_THROW(convert_snapshot(from_to(dir / "b.pt", dir / "c.pkl"), listener), Error);
  ConvertOptions options = from_to(dir / "a.pkl", dir / "c.pkl");
  options.fold = true;
  EXPECT_THROW(convert_snapshot(options, listener), Error);
  options = from_to(dir / "b.pt", dir / "c.pt");
  options.fold = true;
  EXPECT_THROW(convert_snapshot(options, listener), Error);
  EXPECT_FALSE(fs::exists(dir / "c.pkl") || fs::exists(dir / "c.pt"));
}

TEST(Convert, AFileMayReplaceItself) {
  const test::TempDir dir;
  const Snapshot snapshot = test::random_snapshot(test::tiny_options(3));
  save_snapshot(dir / "a.pt", snapshot, SnapshotFormat::torch);
  ConvertOptions options = from_to(dir / "a.pt", dir / "a.pt");
  options.check = true;
  Listener listener;
  convert_snapshot(options, listener);
  test::expect_same_snapshot(load_snapshot(dir / "a.pt"), snapshot);
}

TEST(ConvertGolden, EveryReferenceSnapshotSurvivesEveryFormat) {
  EDM2_REQUIRE_REFERENCE();
  const test::TempDir dir;
  Listener listener;
  for (const auto& entry : fs::directory_iterator(test::reference_dir() / "denoiser")) {
    if (entry.path().extension() != ".pkl") continue;
    const Snapshot original = load_snapshot(entry.path());
    convert_snapshot(from_to(entry.path(), dir / "a.pt"), listener);
    convert_snapshot(from_to(dir / "a.pt", dir / "b.safetensors"), listener);
    convert_snapshot(from_to(dir / "b.safetensors", dir / "c.pt"), listener);
    convert_snapshot(from_to(dir / "c.pt", dir / "d.pkl"), listener);
    test::expect_same_snapshot(load_snapshot(dir / "d.pkl"), original);
    EXPECT_EQ(read_text_file(dir / "a.pt").size(), read_text_file(dir / "c.pt").size());
  }
}

TEST(ConvertInterop, TorchAndSafetensorsReadWhatWeWrite) {
  const std::string python = test::find_python("torch, safetensors");
  if (python.empty())
    GTEST_SKIP() << "no Python with torch and safetensors (set EDM2_TORCH_PYTHON)";
  const test::TempDir dir;
  std::string expected;
  std::vector<std::string> files;
  for (const auto dtype : {at::kHalf, at::kFloat, at::kBFloat16}) {
    const Snapshot snapshot = test::random_snapshot(test::tiny_options(3), dtype);
    for (const char* extension : {".pt", ".safetensors"}) {
      files.push_back(dir / (c10::toString(dtype) + std::string(extension)));
      save_snapshot(files.back(), snapshot, snapshot_format_for(files.back()));
      for (const std::string& line : test::describe_tensors(snapshot)) expected += line + '\n';
      expected += "network 16 encoder StabilityVAEEncoder\n";
    }
  }
  EXPECT_EQ(test::run_interop_script(python, "state_dict.py", files), expected);
}

}  // namespace
}  // namespace edm2
