/// Networks that turn pictures into feature vectors.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <memory>
#include <string>

#include "edm2/core/device.h"
#include "edm2/core/tensor.h"

namespace edm2 {

/// How a detector computes.
struct DetectorOptions {
  c10::Device device = c10::Device(c10::kCPU);
  /// Type of weights and activations. `automatic` is float32, as in the original.
  Precision precision = Precision::automatic;
};

/// A network that turns pictures into feature vectors.
class Detector {
 public:
  virtual ~Detector() = default;

  /// The original's class name, e.g. "InceptionV3Detector".
  virtual std::string name() const = 0;
  /// Which network it is: "InceptionV3", "DINOv2 ViT-L/14", "DINOv2 ViT-S/14 with 4 registers".
  virtual std::string network_name() const { return name(); }
  /// Whether it is the one that papers compute their scores with.
  virtual bool is_customary() const { return true; }
  /// D, the length of a feature vector.
  virtual int64_t feature_dim() const = 0;
  /// How pictures are brought to the network's size, for the record.
  virtual std::string resize_method() const = 0;
  /// "fp32", "bf16" or "fp16".
  std::string precision_name() const;

  /// pixels: [N,3,H,W] uint8 on any device; N may be 0. Returns [N,D] float32 on the detector's
  /// device. On the CPU every picture is computed by one thread on its own, so its features depend,
  /// to the last bit, on nothing but the picture; on CUDA, pictures are computed in pieces of 32,
  /// the last one filled up. Throws Error if the pictures do not have 3 channels.
  Tensor features(const Tensor& pixels) const;

 protected:
  explicit Detector(const DetectorOptions& options);
  c10::Device device() const { return options_.device; }
  /// float32, bfloat16 or float16.
  c10::ScalarType dtype() const;
  /// The same for a batch [N,3,H,W], N >= 1, that is on the device and small.
  virtual Tensor forward(const Tensor& pixels) const = 0;

 private:
  DetectorOptions options_;
};

/// InceptionV3 as trained in 2015 for TensorFlow, whose pooled activations (D = 2048) are the
/// features of FID. Pictures are resized to 299x299 with TensorFlow 1's bilinear interpolation.
class InceptionDetector : public Detector {
 public:
  using Detector::Detector;
  /// features [N,2048] -> logits of its 1008 classes [N,1008] float32, without the output layer's
  /// bias, as the Inception Score wants them. Throws Error if the file had no output layer.
  virtual Tensor class_logits(const Tensor& features) const = 0;
};

/// Reads the weights of InceptionV3: pytorch-fid's state dict, NVIDIA's TorchScript file or pickle,
/// or the same names in safetensors; otherwise 94 convolutions with their three vectors each, told
/// by order and shape. Throws Error naming the file and what does not fit.
std::unique_ptr<InceptionDetector> load_inception(const std::filesystem::path& path,
                                                  const DetectorOptions& options = {});

/// How DINOv2 gets its 224x224 pixels.
enum class DinoResize {
  torch,  ///< bicubic with antialiasing in float32, as the original's program always does
  pil,    ///< Pillow's bicubic, rounded to 8 bits
};

/// How DINOv2 computes.
struct DinoOptions {
  DetectorOptions detector = {};
  DinoResize resize = DinoResize::torch;
  int64_t num_heads = 0;  ///< 0: one per 64 dimensions, as in all published models
};

/// DINOv2 vision transformer (arXiv 2304.07193) of any size (S, B, L, g; D = 384, 768, 1024, 1536),
/// with or without registers, the features being its class token. FD-DINOv2 of papers is that of
/// ViT-L/14 without registers. Reads Meta's state dict, timm's and Hugging Face's names, in torch
/// or safetensors files. Throws Error naming the file and what does not fit.
std::unique_ptr<Detector> load_dinov2(const std::filesystem::path& path,
                                      const DinoOptions& options = {});

}  // namespace edm2
