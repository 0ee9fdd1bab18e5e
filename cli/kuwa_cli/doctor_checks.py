"""The checks of ``kuwa doctor``, each a function that returns findings; standard library alone."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
APT = "sudo apt-get install "
SET_UP = "./kuwa setup"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table; ``bad`` means that Kuwa cannot work with it."""

    status: Literal["ok", "warn", "bad"]
    name: str
    found: str
    remedy: str = ""


def _probe(code: str, timeout: float = 40.0, **environment: str) -> tuple[bool, str]:
    """Run Python code in a child; return whether it ended well and its last line of output."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **environment},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {timeout:.0f} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    if done.returncode < 0:
        last = f"crashed with signal {-done.returncode}: {last}"
    return done.returncode == 0, last.strip()


def _output(*arguments: str) -> str:
    """Return the output of a program, or "" if it is missing or fails."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def system() -> list[Finding]:
    """The operating system and the architecture, which decide where ROS 2 can come from."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    name = f"{release.get('PRETTY_NAME', platform.system())}, {platform.machine()}"
    if platform.system() != "Linux":
        return [Finding("bad", "system", name, "Kuwa runs on Linux.")]
    return [Finding("ok", "system", name)]


def python() -> list[Finding]:
    """The interpreter: 3.11 to 3.13, for which ROS 2 wheels and our numpy both exist."""
    found = f"{platform.python_version()} at {sys.executable}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        remedy = APT + "python3.11 python3.11-venv python3.11-dev"
        return [Finding("bad", "Python", found, remedy)]
    return [Finding("ok", "Python", found)]


def compiler() -> list[Finding]:
    """What builds the message packages."""
    tools = {"gcc": "gcc", "g++": "g++", "cmake": "cmake", "make": "make"}
    missing = [package for tool, package in tools.items() if not shutil.which(tool)]
    if missing:
        return [
            Finding("bad", "compiler", f"missing: {', '.join(missing)}", APT + " ".join(missing))
        ]
    gcc, cmake = _output("g++", "-dumpfullversion"), _output("cmake", "--version").split("\n")[0]
    return [Finding("ok", "compiler", f"g++ {gcc}, {cmake}")]


def set_up() -> list[Finding]:
    """The stages of set-up that have not run or are out of date; the front door compares stamps."""
    stale = os.environ.get("KUWA_STALE")
    if stale is None:
        return [Finding("warn", "set-up", "not asked", "Start the doctor as ./kuwa doctor.")]
    stages = [stage for stage in stale.split() if stage not in ("system", "warm")]
    if not stages:
        return [Finding("ok", "set-up", "done and up to date")]
    made = (ROOT / ".venv/bin/kuwa").exists() and (ROOT / "ros2_ws/install").exists()
    if made and "venv" not in stages:
        found = f"out of date: {', '.join(stages)}"
        return [Finding("warn", "set-up", found, f"The next start renews it, or {SET_UP}.")]
    return [Finding("bad", "set-up", f"not done: {', '.join(stages)}", SET_UP)]


def packages() -> list[Finding]:
    """Installed Python packages against the lock."""
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.M)
    system_ros = os.environ.get("KUWA_ROS_SOURCE", "pip") != "pip"
    installed: dict[str, str] = {}
    for dist in metadata.distributions():  # In the order of sys.path: the first is imported.
        key = re.sub(r"[-_.]+", "-", dist.metadata["Name"] or "").lower()
        installed.setdefault(key, dist.version)
    differ, missing = [], []
    for name, version in pins:
        key = re.sub(r"[-_.]+", "-", name).lower()
        if system_ros and key.startswith("ros-"):
            continue
        if key not in installed:
            missing.append(name)
        elif installed[key] != version:
            differ.append(f"{name} {installed[key]} (lock: {version})")
    wrong = [f"missing {name}" for name in missing] + differ
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        remedy = f"rm .kuwa/stamp/dependencies; {SET_UP}"
        status: Literal["warn", "bad"] = "bad" if missing else "warn"
        return [Finding(status, "Python packages", "; ".join(wrong[:4]) + more, remedy)]
    return [Finding("ok", "Python packages", f"{len(pins)} in the lock, as installed")]


def ros() -> list[Finding]:
    """ROS 2 itself: rclpy loads and a node can be made with the rmw implementation that is set."""
    source = os.environ.get("KUWA_ROS_SOURCE", "pip")
    where = "pip wheels" if source == "pip" else source
    # Importing rclpy loads the middleware too; here with the one that is always there.
    ok, answer = _probe("import rclpy", RMW_IMPLEMENTATION="rmw_fastrtps_cpp")
    if not ok:
        return [Finding("bad", "ROS 2", f"{where}: {answer}", SET_UP)]
    version = _probe(
        "from importlib.metadata import version\n"
        "try: print('rclpy', version('ros-rclpy'))\n"
        "except Exception: print('rclpy', version('rclpy'))"
    )
    found = f"jazzy from {where}" + (f", {version[1]}" if version[0] else "")
    findings = [Finding("ok", "ROS 2", found)]
    # In a domain of its own: the check of the DDS ports runs at the same time.
    ok, answer = _probe(
        "import rclpy\n"
        "rclpy.init(domain_id=101); node = rclpy.create_node('kuwa_doctor')\n"
        "node.destroy_node(); print(rclpy.get_rmw_implementation_identifier()); rclpy.shutdown()"
    )
    wanted = os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    if ok:
        findings.append(Finding("ok", "ROS middleware", f"{answer}, a node starts"))
    else:
        remedy = "unset RMW_IMPLEMENTATION and FASTRTPS_DEFAULT_PROFILES_FILE, or install that rmw."
        findings.append(Finding("bad", "ROS middleware", f"{wanted}: {answer}", remedy))
    return findings


def messages() -> list[Finding]:
    """The workspace's own messages."""
    ok, answer = _probe("import kuwa_msgs.msg, com3_msgs.msg; kuwa_msgs.msg.JointCommand()")
    if ok:
        return [Finding("ok", "workspace", "built, kuwa_msgs and com3_msgs load")]
    return [Finding("bad", "workspace", answer, f"rm -rf .kuwa/workspace; {SET_UP}")]


def discovery() -> list[Finding]:
    """Who can hear the stack, and whether its DDS ports are free (RTPS 2.2, section 9.6.1.1)."""
    text = os.environ.get("ROS_DOMAIN_ID", "0") or "0"
    if not text.isdigit() or int(text) > 232:
        remedy = "export ROS_DOMAIN_ID=<0 to 101>"
        return [Finding("bad", "ROS_DOMAIN_ID", f"{text!r} is no domain", remedy)]
    domain, base = int(text), 7400 + 250 * int(text)
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET (the default of ROS 2)")
    if os.environ.get("FASTRTPS_DEFAULT_PROFILES_FILE", "").endswith("loopback.xml"):
        reach = "on the loopback only"
    found = f"{domain}, discovery {reach}"
    if domain > 101:
        remedy = "Choose 0 to 101: higher ones share ports with other programs."
        findings = [Finding("warn", "ROS_DOMAIN_ID", found, remedy)]
    else:
        findings = [Finding("ok", "ROS_DOMAIN_ID", found)]
    used = []
    for port in (base, base + 1, *range(base + 10, base + 30)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                used.append(port)
    if used:
        found = f"in use: {', '.join(map(str, used[:6]))}{' ...' if len(used) > 6 else ''}"
        remedy = "Another ROS 2 program is in this domain; if it is not yours, choose another one."
        findings.append(Finding("warn", "DDS ports", found, remedy))
    else:
        findings.append(Finding("ok", "DDS ports", f"UDP {base} to {base + 29} are free"))
    return findings


def graphics() -> list[Finding]:
    """Whether MuJoCo can really draw, not only whether a library is there."""
    backend = os.environ.get("MUJOCO_GL", "glfw")
    ok, answer = _probe(
        "import mujoco\n"
        "model = mujoco.MjModel.from_xml_string('<mujoco><worldbody/></mujoco>')\n"
        "renderer = mujoco.Renderer(model, 32, 32)\n"
        "from OpenGL import GL\n"
        "print(GL.glGetString(GL.GL_RENDERER).decode(), flush=True)\n"
        "renderer.close()"
    )
    if ok:
        return [Finding("ok", "OpenGL", f"{backend}: {answer}")]
    remedy = APT + "libegl1 libgl1-mesa-dri libgles2 (pictures and videos need it, nothing else)"
    return [Finding("warn", "OpenGL", f"{backend}: no context: {answer}", remedy)]


def cores() -> list[Finding]:
    """Cores that this process may use; the stack is made for two."""
    count = len(os.sched_getaffinity(0))
    found = f"{count}, load {os.getloadavg()[0]:.1f}"
    if count < 2:
        remedy = "Real time needs two cores; --lockstep works with one."
        return [Finding("warn", "cores", found, remedy)]
    return [Finding("ok", "cores", found)]


def memory() -> list[Finding]:
    """Memory that programs may still take."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line
    )
    total, free = (int(fields[key].split()[0]) / 2**20 for key in ("MemTotal", "MemAvailable"))
    found = f"{free:.1f} of {total:.1f} GiB free"
    if free < 2:
        return [
            Finding("warn", "memory", found, "The stack takes about 1.5 GiB; end other programs.")
        ]
    return [Finding("ok", "memory", found)]


def disk() -> list[Finding]:
    """Room for set-up and for run folders."""
    free = shutil.disk_usage(ROOT).free / 2**30
    found = f"{free:.1f} GiB free at {ROOT}"
    if free < 0.5:
        return [Finding("bad", "disk", found, "Make room: runs and builds cannot be written.")]
    if free < 3:
        return [Finding("warn", "disk", found, "A new set-up would need 3 GiB.")]
    return [Finding("ok", "disk", found)]


def gpu() -> list[Finding]:
    """A GPU helps learning; nothing here needs one."""
    query = "--query-gpu=name,driver_version,memory.total"
    cards = _output("nvidia-smi", query, "--format=csv,noheader")
    return [Finding("ok", "GPU", "; ".join(cards.split("\n")) if cards else "none (not needed)")]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    system,
    python,
    compiler,
    set_up,
    packages,
    ros,
    messages,
    discovery,
    graphics,
    cores,
    memory,
    disk,
    gpu,
)


def examine(check: Callable[[], list[Finding]]) -> list[Finding]:
    """Make one check; a check that breaks is itself a finding."""
    try:
        return check()
    except Exception as error:
        name = check.__name__.replace("_", " ")
        return [Finding("bad", name, f"could not be checked: {type(error).__name__}: {error}")]
