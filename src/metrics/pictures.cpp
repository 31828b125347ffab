#include "edm2/metrics/pictures.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <string_view>

#include "core/ordered_workers.h"
#include "edm2/core/error.h"
#include "edm2/core/platform.h"
#include "edm2/core/random.h"
#include "edm2/data/dataset.h"
#include "edm2/data/file_source.h"
#include "edm2/generate/sampler.h"
#include "edm2/io/digest.h"
#include "edm2/io/npz.h"
#include "metrics/names_found.h"
#include "metrics/picture_choice.h"

namespace edm2 {
namespace {

[[noreturn]] void refuse_channels(const std::string& path, int64_t channels) {
  throw Error("the pictures in '" + path + "' have " + std::to_string(channels) +
              (channels == 1 ? " channel" : " channels") +
              ", expected 3 channels (RGB); 'edm2 dataset convert' makes such a dataset");
}

bool is_npy_file(const std::filesystem::path& path) {
  char magic[6] = {};
  std::ifstream file(path, std::ios::binary);
  file.read(magic, sizeof magic);
  return file && std::string_view(magic, sizeof magic) == "\x93NUMPY";
}

/// By what it holds: names need not tell.
bool is_array_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return false;
  if (is_npy_file(path)) return true;
  if (!is_zip_file(path)) return lower_extension(path.filename().string()) == ".npz";
  const NpzFile file(path);
  return file.contains("arr_0") || lower_extension(path.filename().string()) == ".npz";
}

class ImageFiles final : public PictureSet {
 public:
  explicit ImageFiles(const PictureSetOptions& options)
      : dataset_({.path = options.path,
                  .use_labels = false,
                  .max_size = options.max_size,
                  .random_seed = options.seed,
                  .cache_bytes = 0,
                  .sift = sift_pictures,
                  .look_ahead = false}) {
    const Tensor first = dataset_.item(0).image;
    if (first.scalar_type() != at::kByte)
      throw Error("'" + options.path.string() +
                  "' holds latents, not pictures; metrics need the decoded pictures");
    if (first.size(0) != 3) refuse_channels(options.path.string(), first.size(0));
    check_sizes(dataset_, options.path.string());
    notes_ = dataset_.notes();
  }
  int64_t size() const override { return dataset_.size(); }
  Tensor picture(int64_t index) const override { return dataset_.item(index).image; }

 private:
  ImageDataset dataset_;
};

class ImageArray final : public PictureSet {
 public:
  explicit ImageArray(const PictureSetOptions& options) {
    const std::string path = options.path.string();
    pictures_ = read_array(options.path);
    if (pictures_.dim() != 4 || pictures_.scalar_type() != at::kByte || pictures_.numel() == 0)
      throw Error("'arr_0' in '" + path + "' is not an array of 8-bit pictures [N,H,W,3]");
    if (pictures_.size(3) == 3)
      pictures_ = pictures_.permute({0, 3, 1, 2});
    else if (pictures_.size(1) != 3)
      refuse_channels(path, pictures_.size(3));
    order_.resize(static_cast<size_t>(pictures_.size(0)));
    std::iota(order_.begin(), order_.end(), 0);
    if (!options.max_size || *options.max_size >= pictures_.size(0)) return;
    NumpyRandom(static_cast<uint32_t>(options.seed & 0x7fffffff)).shuffle(order_);
    order_.resize(static_cast<size_t>(*options.max_size));
    std::sort(order_.begin(), order_.end());
  }
  int64_t size() const override { return static_cast<int64_t>(order_.size()); }
  Tensor picture(int64_t index) const override {
    return pictures_[order_.at(static_cast<size_t>(index))].contiguous();
  }

 private:
  static Tensor read_array(const std::filesystem::path& path) {
    if (is_npy_file(path)) return read_npy(MappedFile(path).bytes(), "'" + path.string() + "'");
    const NpzFile file(path);
    if (!file.contains("arr_0"))
      throw Error("'" + path.string() + "' has no array 'arr_0' of pictures; it has " +
                  names_found(file.names()));
    return file.get("arr_0");
  }

  Tensor pictures_;  // [N,3,H,W]
  std::vector<int64_t> order_;
};

struct Decoded {
  Tensor pixels;
  std::string digest;
};

class DecodedStream final : public PictureStream {
 public:
  DecodedStream(const PictureSet& set, std::vector<Part> parts, int64_t workers)
      : parts_(std::move(parts)),
        indices_(indices_of(parts_)),
        workers_(static_cast<int>(workers), /*window=*/2 * largest(parts_),
                 static_cast<int64_t>(indices_.size()), [this, &set](int64_t job) {
                   const Tensor pixels = set.picture(indices_[static_cast<size_t>(job)]);
                   return Decoded{pixels, picture_digest(pixels)};
                 }) {}

  PictureBatch next() override {
    std::vector<Tensor> pictures;
    PictureBatch batch;
    for (int64_t i = 0; i < parts_.at(next_part_).size(); ++i) {
      Decoded decoded = workers_.next();
      pictures.push_back(std::move(decoded.pixels));
      batch.digests += decoded.digest;
    }
    ++next_part_;
    batch.pixels = at::stack(pictures);
    return batch;
  }

 private:
  static std::vector<int64_t> indices_of(const std::vector<Part>& parts) {
    std::vector<int64_t> indices;
    for (const Part& part : parts)
      for (int64_t i = part.begin; i < part.end; ++i) indices.push_back(i);
    return indices;
  }
  static int64_t largest(const std::vector<Part>& parts) {
    int64_t size = 1;
    for (const Part& part : parts) size = std::max(size, part.size());
    return size;
  }

  std::vector<Part> parts_;
  std::vector<int64_t> indices_;
  size_t next_part_ = 0;
  OrderedWorkers<Decoded> workers_;  // the last member: its threads use the others
};

}  // namespace

std::string picture_digest(const Tensor& picture) {
  const Tensor pixels = picture.cpu().contiguous();
  return sha256_hex({static_cast<const std::byte*>(pixels.const_data_ptr()), pixels.nbytes()});
}

std::vector<Part> split_among(int64_t count, int64_t max_batch_size, int processes) {
  std::vector<Part> parts;
  for (const auto& [begin, end] : split_batches(count, max_batch_size, processes))
    parts.push_back({begin, end});
  return parts;
}

std::unique_ptr<PictureStream> PictureSet::stream(std::vector<Part> parts, int64_t workers) const {
  return std::make_unique<DecodedStream>(*this, std::move(parts), workers);
}

std::unique_ptr<PictureSet> open_pictures(const PictureSetOptions& options) {
  if (is_array_file(options.path)) return std::make_unique<ImageArray>(options);
  return std::make_unique<ImageFiles>(options);
}

}  // namespace edm2
