# The stages of set-up, read by ../kuwa when a stamp is stale. Bash, no dependencies.
#
# Each stage removes its stamp, works, and writes the stamp last: killed anywhere, it is repeated at the next
# start. What a kill can leave half done (a package without its RECORD, a half-built message package) is
# cleared away first. Output goes to .kuwa/log; the terminal sees the stage, the seconds and the last line.
# shellcheck shell=bash disable=SC2153

STAGES_TOTAL=0
STAGE_NUMBER=0
STAGE_PID=""

# --- Showing progress, telling failures ------------------------------------------------------------------
interrupted() {
  if [ -n "$STAGE_PID" ]; then kill -TERM -- "-$STAGE_PID" 2>/dev/null; wait "$STAGE_PID" 2>/dev/null; fi
  printf '\n' >&2
  say "set-up interrupted; the next ./kuwa continues where it stopped."
  exit 130
}

show_running() { # title seconds log
  local last width
  width=$(($(tput cols 2>/dev/null || echo 80) - 1))
  last=$(tail -c 400 "$3" 2>/dev/null | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1)
  printf '\r\033[K%s' "$(printf '%s %s s  %s' "$1" "$2" "${last//$'\e'/}" | cut -c1-"$width")" >&2
}

# stage NAME KEY TITLE HINT COMMAND...: run with a log and a stamp. KEY is a command, asked before the work:
# what a person edits meanwhile is then done at the next start.
stage() {
  local name=$1 key title=$3 hint=$4 log=$STATE/log/$1.log started=$SECONDS shown=0 status label
  key=$("$2"); shift 4
  STAGE_NUMBER=$((STAGE_NUMBER + 1))
  label="[$STAGE_NUMBER/$STAGES_TOTAL] $title"
  rm -f "$STAMPS/$name"
  [ -t 2 ] || printf '%s ...\n' "$label" >&2
  set -m # a process group of its own: an interrupt reaches the whole stage, not only its shell
  ( "$@" ) </dev/null >"$log" 2>&1 &
  STAGE_PID=$!
  set +m
  while kill -0 "$STAGE_PID" 2>/dev/null; do
    if [ -t 2 ]; then
      show_running "$label" $((SECONDS - started)) "$log"
    elif [ $((SECONDS - started)) -ge $((shown + 20)) ]; then
      shown=$((SECONDS - started))
      printf '%s ... %s s\n' "$label" "$shown" >&2
    fi
    sleep 0.2
  done
  wait "$STAGE_PID"; status=$?
  STAGE_PID=""
  [ -t 2 ] && printf '\r\033[K' >&2
  if [ "$status" -ne 0 ] && [ "$name" = warm ]; then
    say "the kernels could not be compiled in advance ($log); they are compiled at first use."
  elif [ "$status" -ne 0 ]; then
    printf '%s FAILED after %s s\n' "$label" $((SECONDS - started)) >&2
    printf -- '--- last lines of %s\n' "$log" >&2
    tail -n 20 "$log" >&2
    printf -- '---\n' >&2
    if grep -qiE 'no space left on device' "$log"; then
      hint="The disk is full: set-up needs about 3 GB in $ROOT."
    elif grep -qE 'connection broken by|NewConnectionError|ConnectTimeout|ReadTimeout|NameResolution|ProxyError|SSLError' "$log"; then
      hint="The package index cannot be reached: check the network (and a proxy, if there is one)."
    elif grep -qE 'No matching distribution|ResolutionImpossible' "$log"; then
      hint="A version in requirements.lock contradicts another or does not exist (or the package index is out of reach)."
    fi
    die "set-up stopped at: $title." "$hint" "Then run ./kuwa again: finished stages are not repeated."
  fi
  [ "$status" -ne 0 ] || printf '%s: done, %s s\n' "$label" $((SECONDS - started)) >&2
  printf '%s\n' "$key" >"$STAMPS/$name.new" && mv -f "$STAMPS/$name.new" "$STAMPS/$name"
}

# --- 1. System packages ----------------------------------------------------------------------------------
key_system() { echo 1; }

have_library() { ldconfig -p 2>/dev/null | grep -q "$1" || compgen -G "/usr/lib/*/$1*" >/dev/null; }

# MISSING_BUILD stops set-up; MISSING_GL only costs the pictures, so it is told and asked again next time.
find_missing() {
  MISSING_BUILD=() MISSING_GL=()
  command -v gcc >/dev/null && command -v g++ >/dev/null || MISSING_BUILD+=(gcc g++)
  command -v cmake >/dev/null || MISSING_BUILD+=(cmake)
  command -v make >/dev/null || MISSING_BUILD+=(make)
  if ! find_python; then
    local packages
    read -ra packages <<<"$(python_packages)"
    MISSING_BUILD+=("${packages[@]}")
  fi
  have_library libEGL.so.1 || MISSING_GL+=(libegl1)
  have_library libGLESv2.so.2 || MISSING_GL+=(libgles2)
  compgen -G '/usr/share/glvnd/egl_vendor.d/*nvidia*' >/dev/null || compgen -G '/usr/lib/*/dri/*_dri.so' >/dev/null ||
    MISSING_GL+=(libgl1-mesa-dri)
}

# Wheels of ROS 2 exist for CPython 3.10 to 3.13, our numpy for 3.11 and later. A ROS 2 installation works only
# with the Python it was built for. Sets PYTHON.
python_is_usable() {
  "$1" -c 'import ensurepip, os, sys, sysconfig, venv
ok = (3, 11) <= sys.version_info[:2] <= (3, 13) and sys.implementation.name == "cpython"
sys.exit(not (ok and os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))))' >/dev/null 2>&1
}
find_python() {
  local candidate lib candidates=(python3.11 python3.12 python3.13 python3)
  if [ -n "$ROS_PREFIX" ]; then
    lib=$(compgen -G "$ROS_PREFIX/lib/python3*/site-packages/rclpy" | head -n 1)
    lib=${lib#"$ROS_PREFIX/lib/"}
    candidates=("${lib%%/*}")
  fi
  [ -n "${KUWA_PYTHON:-}" ] && candidates=("$KUWA_PYTHON")
  for candidate in "${candidates[@]}"; do
    if command -v "$candidate" >/dev/null && python_is_usable "$candidate"; then PYTHON=$candidate; return 0; fi
  done
  return 1
}
python_packages() {
  local name=python3
  if [ -n "$ROS_PREFIX" ]; then
    name=$(compgen -G "$ROS_PREFIX/lib/python3*/site-packages/rclpy" | head -n 1)
    name=${name#"$ROS_PREFIX/lib/"}; name=${name%%/*}
  elif apt-cache show python3.11-venv >/dev/null 2>&1; then name=python3.11
  elif apt-cache show python3.12-venv >/dev/null 2>&1; then name=python3.12
  fi
  echo "$name" "$name-venv" "$name-dev"
}

is_debian() { [ -r /etc/os-release ] && grep -qE '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release && command -v apt-get >/dev/null; }

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=120 update && apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
}

check_system() {
  local architecture missing
  architecture=$(uname -s)-$(uname -m)
  if [ -z "$ROS_PREFIX" ] && [ "$architecture" != Linux-x86_64 ]; then
    die "the ROS 2 wheels on PyPI are for Linux on x86-64 only, this is $architecture." \
      "Install ROS 2 Jazzy (https://docs.ros.org/en/jazzy/Installation.html); ./kuwa then uses /opt/ros/jazzy."
  fi
  [ -z "${KUWA_PYTHON:-}" ] || python_is_usable "$KUWA_PYTHON" || die \
    "KUWA_PYTHON=$KUWA_PYTHON is not a CPython 3.11, 3.12 or 3.13 with venv and its C headers."
  find_missing
  missing="${MISSING_BUILD[*]} ${MISSING_GL[*]}" missing=${missing# } missing=${missing% }
  if [ -n "$missing" ] && is_debian && [ "$(id -u)" = 0 ]; then
    STAGES_TOTAL=$((STAGES_TOTAL + 1))
    stage system key_system "installing system packages: $missing" \
      "Install them yourself: apt-get install $missing" apt_install "${MISSING_BUILD[@]}" "${MISSING_GL[@]}"
    rm -f "$STAMPS/system"
    find_missing
  fi
  if [ ${#MISSING_BUILD[@]} -gt 0 ]; then
    is_debian && die "missing: ${MISSING_BUILD[*]}. Install with:" "sudo apt-get install $missing"
    die "missing: a C and C++ compiler, cmake, make or Python 3.11 to 3.13 with venv and headers." \
      "On Debian and Ubuntu these are the packages: $missing"
  fi
  if [ ${#MISSING_GL[@]} -gt 0 ]; then
    say "no OpenGL without a display (missing: ${MISSING_GL[*]}): everything works but pictures and videos."
    say "  sudo apt-get install ${MISSING_GL[*]}"
  else
    key_system >"$STAMPS/system"
  fi
}

# --- 2. Virtual environment ------------------------------------------------------------------------------
make_venv() {
  rm -f "$STAMPS/learn" # goes with it, and may not be asked for now
  rm -rf "$VENV"
  local options=()
  if [ -n "$ROS_PREFIX" ]; then
    options=(--system-site-packages) # apt's ROS 2 keeps catkin_pkg, lark and others there
    capture_ros
  fi
  "$PYTHON" -m venv ${options[@]+"${options[@]}"} "$VENV" && touch "$VENV/COLCON_IGNORE" &&
    echo "${KUWA_PYTHON:-}" >"$STAMPS/python"
}

# Sourcing a ROS 2 set-up takes most of a second; what it adds is written down once.
capture_ros() {
  local name value
  # shellcheck disable=SC2016
  for name in PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH; do
    value=$(env -u AMENT_PREFIX_PATH -u CMAKE_PREFIX_PATH -u COLCON_PREFIX_PATH -u PYTHONPATH -u LD_LIBRARY_PATH \
      -u ROS_DISTRO bash -c 'before=$PATH; set +u; . "$1/setup.bash" >/dev/null 2>&1
        if [ "$2" = PATH ]; then echo "${PATH%"$before"}"; else echo "${!2:-}"; fi' bash "$ROS_PREFIX" "$name")
    value=${value%:}
    [ -z "$value" ] || printf 'prepend %s %q\n' "$name" "$value"
  done >"$STATE/ros.env.new"
  {
    echo 'export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3'
    cat "$STATE/ros.env.new"
  } >"$STATE/ros.env"
  rm -f "$STATE/ros.env.new"
}

# --- 3. Python packages, among them ROS 2 ----------------------------------------------------------------
# pip writes a package's RECORD last. A folder without it was left by a kill; pip would take it for installed.
clear_half_installed() {
  local site info
  for site in "$VENV"/lib/python3*/site-packages; do
    rm -rf "$site"/~*
    for info in "$site"/*.dist-info; do
      if [ -d "$info" ] && [ ! -s "$info/RECORD" ]; then echo "left by an interrupted installation: $info"; rm -rf "$info"; fi
    done
  done
}

install_dependencies() {
  local extras=test,workspace pip=("$VENV/bin/python" -m pip)
  export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off
  [ -n "$ROS_PREFIX" ] || extras+=,ros
  clear_half_installed
  "$VENV/bin/python" -c 'import pip' 2>/dev/null || "$VENV/bin/python" -m ensurepip --upgrade || return
  cd "$ROOT" || return
  # First what builds the rest, so that nothing unpinned is fetched into a build environment.
  "${pip[@]}" install -c "$LOCK_FILE" pip setuptools wheel &&
    "${pip[@]}" install -c "$LOCK_FILE" --no-build-isolation -e ".[$extras]" || return
  [ -n "$ROS_PREFIX" ] || "$VENV/bin/python" "$ROOT/cli/kuwa_cli/setup_wheels.py"
}

# --- 4. Packages that learn, only for who asks for them --------------------------------------------------
# PyTorch's own index has wheels for the CPU alone, a tenth as large as those with CUDA on PyPI, which serve
# where it is out of reach. KUWA_TORCH_INDEX names another, say, one for a GPU.
install_learn() {
  local pip=("$VENV/bin/python" -m pip) again=()
  export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_PROGRESS_BAR=off
  clear_half_installed
  cd "$ROOT" || return
  [ -z "${KUWA_TORCH_INDEX:-}" ] || again=(--force-reinstall)
  "${pip[@]}" install --no-deps --retries 1 ${again[@]+"${again[@]}"} -c "$LEARN_LOCK" \
    --extra-index-url "${KUWA_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" torch &&
    "${pip[@]}" install -c "$LOCK_FILE" -r "$LEARN_LOCK" &&
    echo "${KUWA_TORCH_INDEX:-}" >"$STAMPS/torch_index"
}

# --- 5. Workspace ----------------------------------------------------------------------------------------
# Without a list, colcon would visit every package; with it, a changed message costs its package and those above.
build_workspace() {
  local folder package key toolchain status changed=() select=()
  local -A keys=()
  local built=$STATE/workspace
  cd "$WS" || return
  mkdir -p "$built"
  toolchain=$(key_toolchain)
  if [ "$(cat "$built/.toolchain" 2>/dev/null)" != "$toolchain" ]; then
    rm -rf build install log "$built"
    mkdir -p "$built"
    echo "$toolchain" >"$built/.toolchain"
  fi
  # A package gone from the sources would live on in the merged install folder.
  for key in "$built"/*; do
    package=${key##*/}
    if [ -f "$key" ] && [ ! -f "src/$package/package.xml" ]; then rm -rf build install "${built:?}"/*; break; fi
  done
  for folder in src/*/; do
    folder=${folder%/}; package=${folder##*/}
    [ -f "$folder/package.xml" ] || continue
    key=$(key_sources "$folder")
    [ "$(cat "$built/$package" 2>/dev/null)" = "$key" ] && continue
    # Half a build is not trusted: a compiler killed while it wrote leaves a file that looks newer than its source.
    [ "$(cat "build/$package/colcon_build.rc" 2>/dev/null)" = 0 ] || rm -rf "build/$package"
    rm -f "build/$package/colcon_build.rc" "$built/$package"
    changed+=("$package") keys[$package]=$key
  done
  [ ${#changed[@]} -gt 0 ] || return 0
  [ -f install/setup.bash ] && select=(--packages-above "${changed[@]}")
  echo "packages changed: ${changed[*]}"
  (
    unset PYTHONPATH COLCON_PREFIX_PATH
    ros_environment
    [ -n "$ROS_PREFIX" ] || export CMAKE_PREFIX_PATH=$VENV
    "$VENV/bin/python" -m colcon build --merge-install --symlink-install \
      --event-handlers console_cohesion+ console_start_end+ status- \
      ${select[@]+"${select[@]}"} \
      --cmake-args -DPython3_EXECUTABLE="$VENV/bin/python" -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release \
      --no-warn-unused-cli
  )
  status=$?
  # What did build need not be built again when another package failed.
  for package in "${changed[@]}"; do
    [ "$(cat "build/$package/colcon_build.rc" 2>/dev/null)" = 0 ] && echo "${keys[$package]}" >"$built/$package"
  done
  return "$status"
}

# --- 6. Compiled kernels ---------------------------------------------------------------------------------
# Asked for after every change of a kernel, too: numba does not see a change in another file's kernel.
warm_caches() { (kuwa_environment; "$VENV/bin/python" -m kuwa_cli.warm); }

# --- All of it -------------------------------------------------------------------------------------------
set_up() {
  local stale
  # Node scripts start with #!PATH/python, which cannot hold a blank; search paths are joined by colons.
  case $ROOT in *[[:space:]:]*) die "the path of this checkout has a blank or a colon in it: $ROOT" \
    "ROS 2 node scripts cannot start from there; move the checkout, e.g. to ~/kuwa." ;;
  esac
  trap interrupted INT TERM HUP
  mkdir -p "$STAMPS" "$STATE/log" || die "cannot write in $ROOT: Kuwa keeps its environment beside its code."
  exec 9>"$STATE/lock"
  if ! flock -n 9; then
    say "another ./kuwa is setting up this checkout; waiting for it ..."
    flock 9
  fi
  stale=" $(stale_stages "$@" | tr '\n' ' ')"
  local work=${stale/ system / }
  STAGES_TOTAL=$(wc -w <<<"$work")
  [ -z "${work// /}" ] || say "setting up (log files in .kuwa/log)"
  case $stale in *" venv "* | *" system "*) check_system ;; esac
  case $stale in *" venv "*)
    stage venv key_venv "making .venv with $("$PYTHON" -c 'import platform; print("Python", platform.python_version())')" \
      "See the lines above; KUWA_PYTHON=/path/to/python3.11 ./kuwa chooses another Python." make_venv ;;
  esac
  case $stale in *" dependencies "*)
    stage dependencies key_dependencies "installing Python packages${ROS_PREFIX:+ beside ROS 2 in $ROS_PREFIX}" \
      "See the lines above and the whole log." install_dependencies ;;
  esac
  case $stale in *" learn "*)
    stage learn key_learn "installing PyTorch and what learns with it" \
      "See the lines above and the whole log." install_learn ;;
  esac
  case $stale in *" workspace "*)
    stage workspace key_workspace "building the ROS 2 workspace" \
      "A message or package of ros2_ws/src does not build: see the lines above." build_workspace ;;
  esac
  case $stale in *" warm "*)
    stage warm key_warm "compiling the kernels of simulation and planning" \
      "kuwa_cli.warm failed: see the lines above." warm_caches ;;
  esac
  exec 9>&-
  trap - INT TERM HUP
}
