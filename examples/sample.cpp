// Draws four pictures with the bundled demo model: the library in ten lines.
#include <iostream>

#include "edm2/core/error.h"
#include "edm2/generate/sampler.h"
#include "edm2/io/image.h"

int main() try {
  edm2::Sampler sampler("bundled:demo-emoji32.pkl");  // or a path, or an address
  sampler.set_guide("bundled:demo-emoji32-guide.pkl", 1.7);
  sampler.options.num_steps = 16;
  sampler.on_step = [](const edm2::SamplerStep& s) { std::cout << "sigma " << s.sigma << "\n"; };
  const edm2::GeneratedBatch batch = sampler.generate({0, 1, 2, 3});  // one picture for each seed
  for (int i = 0; i < 4; ++i)  // batch.images: [4,3,32,32] uint8; also .labels, .latents
    edm2::write_png(std::to_string(batch.seeds[i]) + ".png", batch.images.select(0, i));
} catch (const edm2::Error& error) {
  std::cerr << "Error: " << error.what() << "\n";
  return 1;
}
