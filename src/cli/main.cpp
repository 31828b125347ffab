#include <cstdio>

int main() {
  std::puts("edm2 " EDM2_VERSION);
  return 0;
}
