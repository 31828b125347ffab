# Shared by ./edm2, ./test and tools/lint: brings what is missing (Debian packages, libtorch) and builds.
# Sourced, not run. Needs: $root, the folder of the repository. Everything it says goes to stderr.

# What the build needs: package, and why. A command behind the package means that any version of it in PATH will do.
# The names are those of Debian 12 and 13 and of Ubuntu 24.04. What is optional may be missing on another system.
build_packages=(
  "g++|g++|compiles the program"
  "cmake|cmake|configures the build"
  "ninja-build|ninja|runs the build"
  "ccache|ccache|makes later builds quick|optional"
  "pkg-config|pkg-config|finds libraries"
  "python3|python3|fetches libtorch"
  "python3-venv||keeps libtorch in the folder .venv"
  "libpng-dev||reads and writes PNG pictures"
  "libjpeg-dev||reads JPEG pictures"
  "libwebp-dev||reads and writes WebP pictures"
  "libgif-dev||reads GIF pictures"
  "libtiff-dev||reads TIFF pictures"
  "libavif-dev||reads AVIF pictures|optional"
  "libopenjp2-7-dev||reads JPEG 2000 pictures|optional"
  "libzip-dev||reads and writes zip datasets"
  "libutf8proc-dev||compares names in different spellings of Unicode"
  "libcurl4-openssl-dev||fetches networks by their address"
  "libssl-dev||checksums of files"
  "libcairo2-dev||draws figures"
  "libgloo-dev||headers for work with many processes"
  "nlohmann-json3-dev||reads and writes JSON"
  "libcli11-dev||command line options"
)
test_packages=(
  "libgtest-dev||runs the tests"
  "libgmock-dev||states what the tests expect"
  "librapidcheck-dev||makes random cases for the tests"
  "libbenchmark-dev||measures kernels|optional"
)
wheel_packages=(
  "python3-dev||compiles the Python package"
)
lint_packages=(
  "python3|python3|runs the include check"
  "clang-format|clang-format|checks the format of the sources"
)
tidy_packages=(
  "clang-tidy|clang-tidy|looks for mistakes in the sources"
)

torch_requirement="2.11"
# The wheel needs two of NVIDIA's libraries even without a GPU; the rest of its dependencies it does not.
torch_wheels=(torch==2.11.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)

say() { printf 'edm2: %s\n' "$*" >&2; }
give_up() { say "$*"; exit 1; }

# Bash waits for the command that runs, which has got the signal as well.
trap 'say "interrupted; what is done stays, and the next start goes on from here"; exit 130' INT

# Copies its input to the end of a log and shows that work goes on. Lines that match the pattern are steps: on a terminal
# the next takes the place of the last. "every" shows all other lines, too; "some" shows none of them, and elsewhere
# than on a terminal one step in 20 seconds.
follow() { # log, pattern, every or some
  local log=$1 steps=$2 which=$3 line width=0 started=$SECONDS last=$SECONDS clear=""
  trap '' INT # ends with its input
  [[ -t 2 ]] && width=$(stty size <&2 2>/dev/null | cut -d' ' -f2) && clear=$'\r\e[K'
  while IFS= read -r line || [[ -n $line ]]; do
    printf '%s\n' "$line" >&3 || true
    if [[ ! $line =~ $steps ]]; then
      [[ $which == some ]] || printf '%s%s\n' "$clear" "$line" >&2
    elif ((${width:-0} > 20)); then
      [[ $which == every ]] || line="$((SECONDS - started)) s: $line"
      printf '%s%s' "$clear" "${line:0:width-1}" >&2
    elif [[ $which == every ]]; then
      printf '%s\n' "$line" >&2
    elif ((SECONDS >= last + 20)); then
      last=$SECONDS
      say "$((SECONDS - started)) s: $line"
    fi
  done 3>>"$log"
  printf '%s' "$clear" >&2
}

# ---- Debian packages ----

# Prints those lines of the given table whose package is missing.
missing_packages() {
  local line package command reason installed
  installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}, ${Provides}\n' 2>/dev/null |
    sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/ .*//')
  for line in "$@"; do
    IFS='|' read -r package command reason _ <<<"$line"
    [[ -n $command ]] && command -v "$command" >/dev/null && continue
    # A Python from elsewhere brings its own venv.
    [[ $package == python3-venv ]] && python3 -c 'import venv, ensurepip' 2>/dev/null && continue
    grep -qxF "$package" <<<"$installed" || printf '%s\n' "$line"
  done
}

# The way to root: nothing as root, sudo where it works without asking or can ask, else "none".
root_command() {
  if [[ $(id -u) == 0 ]]; then echo ""
  elif ! command -v sudo >/dev/null; then echo none
  elif sudo -n true 2>/dev/null; then echo "sudo -n"
  elif [[ -t 0 && -t 2 ]]; then echo sudo
  else echo none
  fi
}

package_lists_are_old() {
  [[ -z $(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -1 -print -quit 2>/dev/null) ]]
}

apt_log=$root/build/apt.log

run_apt() { # root command, then arguments of apt-get
  local become=$1
  shift
  $become env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" </dev/null 2>&1 |
    follow "$apt_log" '^(Get:[0-9]+|Unpacking|Setting up) ' some
}

# Prints the given lines of a table but for optional packages that apt has never heard of.
without_absent_packages() {
  local line package
  for line in "$@"; do
    package=${line%%|*}
    if [[ $line != *'|optional' ]] || apt-cache show "$package" >/dev/null 2>&1; then printf '%s\n' "$line"; fi
  done
}

# The required packages of a table that apt has never heard of.
absent_packages() {
  local line
  for line in "$@"; do
    apt-cache show "${line%%|*}" >/dev/null 2>&1 || printf '%s\n' "${line%%|*}"
  done
}

names_of() { local line; for line in "$@"; do printf '%s ' "${line%%|*}"; done; }

# Where there are no Debian packages: what to install, once, and CMake says what it does not find.
name_packages() {
  [[ -e $root/build/release/CMakeCache.txt ]] && return 0
  say "this system has no Debian packages; what corresponds to these has to be there (C++20, CMake 3.25): $(names_of "$@")"
}

ensure_packages() { # purpose, then a table of packages
  local purpose=$1 missing become everything
  shift
  [[ ${EDM2_PACKAGES:-} == ignore ]] && return 0
  command -v dpkg-query >/dev/null || { name_packages "$@" && return 0; }
  mapfile -t missing < <(missing_packages "$@")
  package_lists_are_old || mapfile -t missing < <(without_absent_packages "${missing[@]}")
  ((${#missing[@]})) || return 0
  say "$purpose needs these Debian packages, which are not installed:"
  printf '%s\n' "${missing[@]}" | awk -F'|' '{ printf "  %-22s %s\n", $1, $3 }' >&2
  become=$(root_command)
  if [[ $become == none ]]; then
    if ! printf '%s\n' "${missing[@]}" | grep -qv '|optional$'; then
      say "installing them needs root; going on without"
      return 0
    fi
    # All at once, so that nobody has to be asked again for ./test or tools/lint.
    mapfile -t everything < <(
      missing_packages "$@" "${build_packages[@]}" "${test_packages[@]}" "${lint_packages[@]}" | sort -u)
    give_up "installing them needs root. Run this as root, for all of ./edm2, ./test and tools/lint, then start again:
  $(apt_line "${everything[@]}")"
  fi
  say "installing them with apt-get (log: $apt_log)"
  mkdir -p "${apt_log%/*}"
  : >"$apt_log"
  if package_lists_are_old; then run_apt "$become" update || true; fi
  install_packages "$become" "${missing[@]}" && return 0
  # Fresh lists may name newer versions than those that could not be had.
  run_apt "$become" update || true
  mapfile -t missing < <(without_absent_packages "${missing[@]}")
  install_packages "$become" "${missing[@]}" && return 0
  tail -n 20 "$apt_log" >&2
  local absent
  mapfile -t absent < <(absent_packages "${missing[@]}")
  ((${#absent[@]} == 0)) || give_up "this system's lists do not name: ${absent[*]} (on Ubuntu they are in \"universe\").
  Where they do not exist, install the libraries in another way, and start with EDM2_PACKAGES=ignore in the environment"
  give_up "apt-get could not install them; see above. To try by hand, as root:"$'\n'"  $(apt_line "${missing[@]}")"
}

apt_line() { # lines of a table
  echo "apt-get update && apt-get install -y --no-install-recommends $(names_of "$@")"
}

install_packages() { # root command, then lines of a table
  local become=$1 names
  shift
  read -r -a names < <(names_of "$@")
  run_apt "$become" install --no-install-recommends "${names[@]}"
}

# ---- libtorch ----

# Whether a folder holds a libtorch that is whole and new enough.
is_libtorch() {
  local version=""
  [[ -e $1/lib/libtorch_cpu.so && -e $1/include/ATen/ATen.h ]] || return 1
  if [[ -e $1/version.py ]]; then version=$(sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$1/version.py")
  elif [[ -e $1/build-version ]]; then version=$(sed 's/[^0-9.].*//' "$1/build-version")
  fi
  [[ -n $version && $(printf '%s\n' "$torch_requirement" "$version" | sort -V | head -n 1) == "$torch_requirement" ]]
}

# pip writes RECORD last, so a wheel that has it is whole; an interrupted one has not.
venv_is_whole() {
  local wheel name records
  for wheel in "${torch_wheels[@]}"; do
    name=${wheel//-/_}
    name=${name/==/-}
    records=("$root"/.venv/lib/python3*/site-packages/"$name".dist-info/RECORD)
    [[ -e ${records[0]} ]] || return 1
  done
}

# Prints the folder of the libtorch that CMake will find, in the order of cmake/FindLibtorch.cmake.
find_libtorch() {
  local candidate prefix prefixes=()
  for candidate in "$root"/.venv/lib/python3*/site-packages/torch; do
    if venv_is_whole && is_libtorch "$candidate"; then echo "$candidate" && return; fi
    # CMake would take the half-made one.
    [[ -e $candidate ]] && return 1
  done
  IFS=: read -r -a prefixes <<<"${CMAKE_PREFIX_PATH:-}"
  for prefix in ${prefixes[@]+"${prefixes[@]}"}; do
    for candidate in "$prefix" "$prefix/torch" "$prefix/libtorch"; do
      if is_libtorch "$candidate"; then echo "$candidate" && return; fi
    done
  done
  candidate=$(python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] if s else "")' 2>/dev/null || true)
  if [[ -n $candidate ]] && is_libtorch "$candidate"; then echo "$candidate" && return; fi
  return 1
}

ensure_libtorch() {
  find_libtorch >/dev/null && return 0
  local python=python3 folder
  "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || python=/usr/bin/python3
  say "installing libtorch (${torch_wheels[*]}) from PyPI into .venv: a download of about 0.5 GB, 1.3 GB on disk"
  # Without --clear this also mends a half-made environment.
  "$python" -m venv "$root/.venv" >&2 || "$python" -m venv --clear "$root/.venv" >&2 ||
    give_up "cannot make a Python environment in $root/.venv"
  # pip takes a package that an interruption left without RECORD for installed, and cannot remove it.
  for folder in "$root"/.venv/lib/python3*/site-packages/*.dist-info; do
    [[ -e $folder/RECORD ]] || rm -rf "$folder"
  done
  "$root/.venv/bin/python" -m pip install --no-deps --no-input --disable-pip-version-check --retries 5 \
    "${torch_wheels[@]}" </dev/null >&2 ||
    give_up "pip could not install libtorch; see above. Start again to try once more, or set CMAKE_PREFIX_PATH to a libtorch >= $torch_requirement"
  find_libtorch >/dev/null || give_up "the libtorch in $root/.venv is not usable; remove the folder and start again"
}

# ---- Build ----

# Compiling against libtorch takes up to 1.5 GB a file. EDM2_JOBS says how many at a time.
build_jobs() {
  local cores memory
  [[ ${EDM2_JOBS:-} =~ ^[1-9][0-9]*$ ]] && echo "$EDM2_JOBS" && return
  cores=$(nproc 2>/dev/null || echo 2)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1572864) }' /proc/meminfo 2>/dev/null || echo "$cores")
  ((memory < cores)) && cores=$memory
  ((cores < 1)) && cores=1
  echo "$cores"
}

# A first build joins several sources to one unit: half the time. Whoever edits single files switches it off, with
# cmake -DCMAKE_UNITY_BUILD=OFF build/release.
# EDM2_WARNINGS_AS_ERRORS=ON in the environment is for developers and .ci/run; CMake keeps it.
configure() { # further arguments of cmake
  local log=$root/build/configure.log options=()
  [[ -e $root/build/release/CMakeCache.txt ]] || options=(-DCMAKE_UNITY_BUILD=ON)
  [[ -z ${EDM2_WARNINGS_AS_ERRORS:-} ]] || options+=("-DEDM2_WARNINGS_AS_ERRORS=$EDM2_WARNINGS_AS_ERRORS")
  (cd "$root" && cmake --preset release ${options[@]+"${options[@]}"} "$@") >"$log" 2>&1 && return 0
  cat "$log" >&2
  give_up "the build could not be configured; see above"
}

build_log=$root/build/build.log

build() { # targets; none = everything
  local targets=()
  (($# > 0)) && targets=(--target "$@")
  : >"$build_log"
  NINJA_STATUS="[%f/%t, %e s] " cmake --build "$root/build/release" -j "$(build_jobs)" ${targets[@]+"${targets[@]}"} 2>&1 |
    follow "$build_log" '^\[[0-9]+/[0-9]+, ' every || give_up "the build failed; see above. $(build_advice)"
}

# What to try, after what the log says.
build_advice() {
  if grep -q "No space left on device" "$build_log"; then
    echo "The disk is full: the program takes about 1 GB in $root/build, with all tests 3 GB; ccache keeps copies in its own folder."
  elif grep -qiE "Killed signal|out of memory|cannot allocate memory|bad_alloc" "$build_log"; then
    echo "Memory ran out: compiling takes up to 1.5 GB a file. EDM2_JOBS=1 in the environment builds one at a time."
  else
    cat <<END
All of it is in $build_log. What may help:
  - a start with EDM2_JOBS=1 in the environment, if memory is short (or the compiler crashed)
  - free space on the disk of $root ($(df -h --output=avail "$root" 2>/dev/null | tail -n 1 | tr -d ' ') now)
  - another compiler: rm -r build/release, then start with CXX=g++-12 (12 to 14 are tried) in the environment
If it stays: report it where you have these sources from, with that file and the first lines of build/configure.log.
END
  fi
}

# Two starts at once must not build into each other. Held until the shell ends or release_build_lock.
take_build_lock() {
  mkdir -p "$root/build"
  command -v flock >/dev/null || return 0
  exec 9>"$root/build/.lock"
  flock -n 9 && return 0
  say "another build of this folder is running; waiting for it"
  flock 9
}
release_build_lock() { exec 9>&-; }
