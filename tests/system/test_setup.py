"""The front door: what it installs and builds again, what it leaves alone, how it fails.

Most of it runs the real scripts in a small checkout whose Python is a stand-in that only writes
down what it was asked; the last part looks at the real environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

from kuwa_cli.setup_wheels import repair_prefix

ROOT = Path(__file__).resolve().parents[2]

LOCKS = ("requirements.lock", "requirements-learn.lock")

STAND_IN = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$1 $2" in
  "-m venv")
    mkdir -p "${@: -1}/bin" "${@: -1}/lib/python3.11/site-packages"
    cp "$0" "${@: -1}/bin/python" ;;
  "-m pip")
    [ -z "${SLOW:-}" ] || sleep "$SLOW"
    [ -z "${FAIL:-}" ] || { echo "$FAIL"; exit 1; }
    printf '#!/bin/bash\\necho "kuwa $*"\\n' >.venv/bin/kuwa; chmod +x .venv/bin/kuwa ;;
  "-m colcon")
    mkdir -p install; touch install/setup.bash
    for package in src/*/; do
      mkdir -p "build/$(basename "$package")"
      rc=0; grep -q broken -r "$package" && rc=1
      echo $rc >"build/$(basename "$package")/colcon_build.rc"
    done
    ! grep -q broken -r src ;;
esac
"""


class Checkout:
    """A small checkout with two packages, and the calls that its stand-in for Python received."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kuwa"
        self.calls_file = folder / "calls"
        (self.path / "cli").mkdir(parents=True)
        for name in ("kuwa", "cli/setup.sh", "pyproject.toml", *LOCKS):
            shutil.copy(ROOT / name, self.path / name)
        for package in ("demo_msgs", "demo_node"):
            source = self.path / "ros2_ws/src" / package
            source.mkdir(parents=True)
            (source / "package.xml").write_text(f"<package>{package}</package>")
        (self.path / "ros2_ws/src/demo_msgs/A.msg").write_text("float64 a\n")
        (self.path / "ros2_ws/src/demo_node/node.py").write_text("pass\n")
        self.python = folder / "python3.11"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)
        outer = ("ROS_", "KUWA_", "AMENT_", "PYTHON", "VIRTUAL_ENV")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(outer)}
        self.environment = {
            **kept,
            "CALLS": str(self.calls_file),
            "KUWA_PYTHON": str(self.python),
            "KUWA_ROS_PREFIX": "none",
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.calls_file.write_text("")
        return subprocess.run(
            [self.path / "kuwa", *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def did(self) -> set[str]:
        """The tools that the last start used."""
        found = re.findall(r"^-m (\w+)", self.calls_file.read_text(), re.M)
        return set(found)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path)
    first = made.start("hello")
    assert first.returncode == 0, first.stderr
    assert made.did() == {"venv", "pip", "colcon"}
    assert first.stdout == "kuwa hello\n"
    yield made


def test_a_second_start_does_nothing(checkout: Checkout) -> None:
    again = checkout.start("hello", "--world")
    assert (again.returncode, again.stdout, again.stderr) == (0, "kuwa hello --world\n", "")
    assert checkout.calls_file.read_text() == ""


def test_a_changed_lock_installs_but_does_not_build(checkout: Checkout) -> None:
    with (checkout.path / "requirements.lock").open("a") as lock:
        lock.write("zzz==1.0\n")
    checkout.start()
    assert checkout.did() == {"pip"}


def test_what_learns_is_installed_only_for_who_asks(checkout: Checkout) -> None:
    assert checkout.start("test").returncode == 0
    assert checkout.did() == {"pip"}
    assert "-r " + str(checkout.path / "requirements-learn.lock") in checkout.calls_file.read_text()
    for again in (["test"], ["setup", "--learn"]):
        checkout.start(*again)
        assert checkout.did() == set()
    with (checkout.path / "requirements-learn.lock").open("a") as lock:
        lock.write("zzz==1.0\n")
    checkout.start("hello")
    assert checkout.did() == set()
    checkout.start("setup")
    assert checkout.did() == set()
    checkout.start("setup", "--learn")
    assert checkout.did() == {"pip"}
    checkout.start("test", KUWA_TORCH_INDEX="https://example.org/cu130")
    assert "--extra-index-url https://example.org/cu130" in checkout.calls_file.read_text()
    checkout.start("test", KUWA_TORCH_INDEX="https://example.org/cu130")
    assert checkout.did() == set()


def test_what_learns_goes_with_its_environment(checkout: Checkout) -> None:
    checkout.start("test")
    shutil.rmtree(checkout.path / ".venv")
    checkout.start("hello")
    assert checkout.did() >= {"venv", "pip"}
    assert "requirements-learn.lock" not in checkout.calls_file.read_text()
    checkout.start("test")
    assert checkout.did() == {"pip"}


def test_a_changed_ros_version_builds_everything_again(checkout: Checkout) -> None:
    lock = checkout.path / "requirements.lock"
    lock.write_text(re.sub(r"(?m)^ros-rclpy==.*$", "ros-rclpy==99.0", lock.read_text()))
    checkout.start()
    assert checkout.did() == {"pip", "colcon"}
    assert "--packages-above" not in checkout.calls_file.read_text()


def test_a_changed_message_builds_its_package_and_those_above(checkout: Checkout) -> None:
    (checkout.path / "ros2_ws/src/demo_msgs/A.msg").write_text("float64 b\n")
    checkout.start()
    assert checkout.did() == {"colcon"}
    assert "--packages-above demo_msgs --cmake-args" in checkout.calls_file.read_text()


@pytest.mark.parametrize("name", ["node.py", "more.py", "__pycache__/node.cpython-311.pyc"])
def test_changed_python_code_costs_nothing(checkout: Checkout, name: str) -> None:
    path = checkout.path / "ros2_ws/src/demo_node" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("other\n")
    checkout.start()
    assert checkout.did() == set()


def test_changed_settings_of_tools_cost_nothing(checkout: Checkout) -> None:
    project = checkout.path / "pyproject.toml"
    project.write_text(project.read_text().replace("line-length = 100", "line-length = 99"))
    checkout.start()
    assert checkout.did() == set()


def test_a_new_data_file_or_package_is_installed(checkout: Checkout) -> None:
    (checkout.path / "ros2_ws/src/demo_node/new.yaml").write_text("a: 1\n")
    checkout.start()
    assert "--packages-above demo_node " in checkout.calls_file.read_text()
    third = checkout.path / "ros2_ws/src/third"
    third.mkdir()
    (third / "package.xml").write_text("<package/>")
    checkout.start()
    assert "--packages-above third " in checkout.calls_file.read_text()


def test_a_package_that_is_gone_is_not_left_installed(checkout: Checkout) -> None:
    left = checkout.path / "ros2_ws/install/share"
    left.mkdir()
    shutil.rmtree(checkout.path / "ros2_ws/src/demo_node")
    checkout.start()
    assert checkout.did() == {"colcon"}
    assert not left.exists()


def test_a_broken_package_is_told_and_the_others_are_not_built_again(checkout: Checkout) -> None:
    node = checkout.path / "ros2_ws/src/demo_node/package.xml"
    (checkout.path / "ros2_ws/src/demo_msgs/A.msg").write_text("float64 c\n")
    node.write_text("broken")
    failed = checkout.start("hello")
    assert failed.returncode == 1 and failed.stdout == ""
    assert "workspace.log" in failed.stderr and "does not build" in failed.stderr
    node.write_text("mended")
    assert checkout.start("hello").stdout == "kuwa hello\n"
    assert "--packages-above demo_node " in checkout.calls_file.read_text()


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("connection broken by 'NewConnectionError'", "check the network"),
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: ResolutionImpossible: for help visit", "requirements.lock"),
        ("something else", "See the lines above"),
    ],
)
def test_a_failure_shows_the_log_and_what_to_do(
    checkout: Checkout, output: str, remedy: str
) -> None:
    (checkout.path / ".kuwa/stamp/dependencies").unlink()
    failed = checkout.start("hello", FAIL=output)
    assert failed.returncode == 1 and failed.stdout == ""
    assert output in failed.stderr and "dependencies.log" in failed.stderr
    assert remedy in failed.stderr
    assert checkout.start("hello").returncode == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_set_up_continues(checkout: Checkout, how: signal.Signals) -> None:
    (checkout.path / ".kuwa/stamp/dependencies").unlink()
    checkout.calls_file.write_text("")
    half = checkout.path / ".venv/lib/python3.11/site-packages/half-1.0.dist-info"
    half.mkdir()
    process = subprocess.Popen(
        [checkout.path / "kuwa", "hello"],
        env={**checkout.environment, "SLOW": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 20
    while "-m pip" not in checkout.calls_file.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    assert process.communicate(timeout=20)[0] == b""
    assert process.returncode == (130 if how != signal.SIGKILL else -signal.SIGKILL)
    assert not (checkout.path / ".kuwa/stamp/dependencies").exists()
    again = checkout.start("hello")
    assert again.stdout == "kuwa hello\n"
    assert not half.exists()


def test_two_at_once_install_once(checkout: Checkout) -> None:
    (checkout.path / ".kuwa/stamp/dependencies").unlink()
    checkout.calls_file.write_text("")
    both = [
        subprocess.Popen(
            [checkout.path / "kuwa", "hello"],
            env={**checkout.environment, "SLOW": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in outputs] == [b"kuwa hello\n"] * 2
    assert sum(b"waiting for it" in err for _, err in outputs) == 1
    assert checkout.calls_file.read_text().count("-e .[") == 1


def test_a_moved_checkout_is_set_up_again(checkout: Checkout) -> None:
    checkout.path = checkout.path.rename(checkout.path.with_name("elsewhere"))
    assert checkout.start("hello").stdout == "kuwa hello\n"
    assert checkout.did() == {"venv", "pip", "colcon"}


def test_a_path_that_node_scripts_cannot_have_is_refused(checkout: Checkout) -> None:
    checkout.path = checkout.path.rename(checkout.path.with_name("my clone"))
    refused = checkout.start("hello")
    assert refused.returncode == 1 and "my clone" in refused.stderr
    assert checkout.did() == set()


def test_an_installed_ros_is_used_and_remembered(checkout: Checkout, tmp_path: Path) -> None:
    prefix = tmp_path / "ros"
    (prefix / "lib/python3.11/site-packages/rclpy").mkdir(parents=True)
    (prefix / "setup.bash").write_text(f"export ROS_DISTRO=jazzy AMENT_PREFIX_PATH={prefix}\n")
    assert checkout.start("hello", KUWA_ROS_PREFIX=str(prefix)).returncode == 0
    calls = checkout.calls_file.read_text()
    assert "venv --system-site-packages" in calls
    assert ".[test,workspace]" in calls
    del checkout.environment["KUWA_ROS_PREFIX"]
    checkout.start("hello")
    assert checkout.did() == set()
    shutil.rmtree(prefix)  # uninstalled: back to the wheels
    checkout.start("hello")
    if not Path("/opt/ros/jazzy").exists():
        assert ".[test,workspace,ros]" in checkout.calls_file.read_text()


def test_another_distribution_is_refused(checkout: Checkout) -> None:
    del checkout.environment["KUWA_ROS_PREFIX"]
    (checkout.path / ".kuwa/ros_choice").unlink(missing_ok=True)
    refused = checkout.start("hello", ROS_DISTRO="humble")
    assert refused.returncode == 1
    assert "humble" in refused.stderr and "KUWA_ROS_PREFIX=none" in refused.stderr
    prefix = checkout.start("hello", KUWA_ROS_PREFIX="/nowhere")
    assert prefix.returncode == 1 and "setup.bash" in prefix.stderr


def test_the_wheels_cmake_files_are_repaired_once(tmp_path: Path) -> None:
    file = tmp_path / "share/demo_msgs/cmake/export.cmake"
    file.parent.mkdir(parents=True)
    foreign = "/opt/python/cp312-cp312"
    numpy = f"{foreign}/lib/python3.12/site-packages/numpy/_core/include"
    file.write_text(f'set(a "{foreign}/include/python3.12;{numpy}")\n')
    assert repair_prefix(tmp_path, "/my/python", "/my/numpy") == 1
    assert file.read_text() == 'set(a "/my/python;/my/numpy")\n'
    assert repair_prefix(tmp_path, "/my/python", "/my/numpy") == 0
    file.write_text(f'set(a "{foreign}/share/new")\n')
    with pytest.raises(RuntimeError, match="share/new"):
        repair_prefix(tmp_path, "/my/python", "/my/numpy")


# --- The real environment ---


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", text).lower()


def _lock() -> dict[str, str]:
    lines = [line for lock in LOCKS for line in (ROOT / lock).read_text().splitlines()]
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^\s;]+", line) for line in pins)
    return {_name(line.split("==")[0]): line.split("==")[1] for line in pins}


def test_the_lock_is_the_one_place_of_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in chain(*groups):
        name = requirement.partition(";")[0]
        assert re.fullmatch(r"[A-Za-z0-9-]+", name), f"{requirement}: versions belong in the lock"
        assert _name(name) in _lock()


def test_everything_installed_is_in_the_lock() -> None:
    site = Path(sys.prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages")
    # The ROS 2 wheels carry the metadata of the Python parts inside them; those have no RECORD.
    found = {
        # PyTorch's own wheels name behind a plus what they were built for.
        _name(dist.metadata["Name"]): dist.version.partition("+")[0]
        for dist in metadata.distributions(path=[str(site)])
        if dist.read_text("RECORD")
    }
    found.pop("kuwa")
    lock = _lock()
    assert {name: version for name, version in found.items() if lock.get(name) != version} == {}


@pytest.mark.ros
def test_the_doctor_finds_nothing_broken() -> None:
    done = subprocess.run(
        [ROOT / "kuwa", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    bad = [finding for finding in report["findings"] if finding["status"] == "bad"]
    assert bad == [] and report["ok"] and done.returncode == 0
    assert {"Python", "ROS 2", "ROS middleware", "OpenGL", "cores", "GPU", "DDS ports"} <= {
        finding["name"] for finding in report["findings"]
    }


def test_the_doctor_sees_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_of_nobody")
    monkeypatch.setenv("ROS_DOMAIN_ID", "seven")
    done = subprocess.run(
        [ROOT / "kuwa", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    bad = {f["name"]: f for f in json.loads(done.stdout)["findings"] if f["status"] == "bad"}
    assert {"ROS middleware", "ROS_DOMAIN_ID"} <= set(bad)
    assert all(finding["remedy"] for finding in bad.values())
    assert done.returncode == 1


def test_help_loads_no_verb() -> None:
    code = (
        "import sys; from kuwa_cli.main import main; sys.argv[1:] = ['--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit(bool({'numpy', 'mujoco', 'rclpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "doctor" in done.stdout


def test_exec_passes_arguments_and_status_on() -> None:
    command = [ROOT / "kuwa", "exec", "bash", "-c", 'echo "$@"; exit 7', "--", "--help", "a b"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "--help a b\n")
