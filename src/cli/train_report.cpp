#include "cli/train_report.h"

#include <nlohmann/json.hpp>

#include "edm2/core/device.h"
#include "edm2/core/format_number.h"

namespace edm2::cli {
namespace {

std::string precision_in_words(const TrainOptions& o, const c10::Device& device) {
  const auto type = activation_dtype(o.precision, o.network.use_fp16, device);
  if (type == c10::kHalf) return "float16";
  if (type == c10::kBFloat16) return "bfloat16";
  const bool slow = o.precision == Precision::automatic && device.is_cpu() && cpu_has_bf16();
  return slow ? "float32 (--precision=bf16 is faster on this processor)" : "float32";
}

}  // namespace

void print_configuration(Trainer& trainer, int processes, bool whole, Progress& progress) {
  const TrainOptions& o = trainer.options();
  const c10::Device device = select_device(o.device);
  const auto yes_no = [](bool value) { return std::string(value ? "True" : "False"); };
  const auto line = [&](std::string label, const std::string& value) {
    label.resize(25, ' ');
    progress.message(label + value);
  };
  progress.message("");
  if (whole) {
    progress.message("Training config:");
    progress.message(trainer.configuration().dump(2, ' ', /*ensure_ascii=*/true));
    progress.message("");
  }
  line("Output directory:", o.outdir.string());
  line("Dataset path:", o.data.string());
  line("Class-conditional:", yes_no(o.use_labels));
  line(device.is_cpu() ? "Processes:" : "Number of GPUs:", std::to_string(processes));
  line("Batch size:", std::to_string(o.batch_size));
  if (!device.is_cpu()) line("Mixed-precision:", yes_no(o.network.use_fp16));
  line("Device:", device.is_cpu() ? "CPU" : device.str());
  line("Precision:", precision_in_words(o, device));
  line("Images to train for:", std::to_string(o.total_nimg));
  progress.message("");
  for (const auto& warning : short_run_warnings(o)) progress.message(warning);
}

void tell_how_to_draw(const TrainOptions& o, Progress& progress) {
  for (const auto& warning : short_run_warnings(o)) progress.message(warning);
  if (!o.snapshot_nimg || *o.snapshot_nimg > o.total_nimg) return;
  progress.message(
      "The run is finished. To draw with it: edm2 generate --net=" + o.outdir.string() + "@" +
      format_number("%g", o.stds.back()) + " --outdir=out --seeds=0-15 --grid=out/grid.png");
}

}  // namespace edm2::cli
