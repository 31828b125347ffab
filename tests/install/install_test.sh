#!/bin/sh
# Installs the build into a fresh folder, and builds and runs examples/sample.cpp beside it: once by CMake's package, once by pkg-config. Nothing of it may need the source tree, which is hidden meanwhile where the system allows it.
# Usage: install_test.sh SOURCE_DIR BUILD_DIR CMAKE CXX
set -eu
source=$1 build=$2 cmake=$3 cxx=$4

if [ -z "${EDM2_INSTALL_TEST_STAGE:-}" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  "$cmake" --install "$build" --prefix "$work/usr" > "$work/install.log"
  mkdir "$work/external" "$work/venv"
  cp "$source/tests/install/CMakeLists.txt" "$source/examples/sample.cpp" "$work/external"
  cp "$0" "$work/stages.sh"

  # The source tree is not mentioned (but for a libtorch in its virtual environment).
  if grep -rF "$source" "$work/usr" --include=*.cmake --include=*.pc | grep -vF "$source/.venv"; then
    echo "the installed files speak of the source tree" >&2
    exit 1
  fi

  export work
  stages="$work/stages.sh $source $build $cmake $cxx"
  # In a view of the file system of its own an empty folder takes the place of the source tree. Mounts can neither be
  # seen nor left behind outside. A tree that holds the temporary folder itself cannot be hidden.
  case $work in "$source"/*) hide=false ;; *) hide=unshare ;; esac
  if $hide --mount --map-root-user true 2> /dev/null; then
    EDM2_INSTALL_TEST_STAGE=hide unshare --mount --map-root-user sh $stages
  else
    echo "the source tree could not be hidden; it may be used without notice"
    EDM2_INSTALL_TEST_STAGE=use sh $stages
  fi
  exit
fi

if [ "$EDM2_INSTALL_TEST_STAGE" = hide ]; then
  [ ! -d "$source/.venv" ] || mount --bind "$source/.venv" "$work/venv"
  mount -t tmpfs none "$source"
  if mountpoint -q "$work/venv"; then
    mkdir "$source/.venv"
    mount --bind "$work/venv" "$source/.venv"
  fi
  test ! -e "$source/src" && test ! -e "$source/include"
  echo "the source tree is hidden"
fi

cd "$work/external"
"$cmake" -S . -B build -DCMAKE_PREFIX_PATH="$work/usr" -DCMAKE_CXX_COMPILER="$cxx" > configure.log
"$cmake" --build build > build.log
mkdir by-cmake && (cd by-cmake && EDM2_MODELS_DIR="$work/usr/share/edm2/models" ../build/sample > log)
test "$(ls by-cmake/*.png | wc -l)" = 4

PKG_CONFIG_PATH=$(dirname "$(find "$work/usr" -name edm2.pc)")
export PKG_CONFIG_PATH
# pkg-config's answer is words, so it must be split.
"$cxx" sample.cpp -o sample $(pkg-config --cflags --libs edm2)
mkdir by-pkg-config && (cd by-pkg-config && EDM2_MODELS_DIR="$work/usr/share/edm2/models" ../sample > log)
for picture in by-cmake/*.png; do cmp "$picture" "by-pkg-config/$(basename "$picture")"; done

# The installed program finds its models by itself.
"$work/usr/bin/edm2" generate --preset=demo --seeds=0 --steps=2 --outdir="$work/out" --quiet
test -s "$work/out/000000.png"
test -s "$work/usr/share/man/man1/edm2.1"
bash -n "$work/usr/share/bash-completion/completions/edm2"
