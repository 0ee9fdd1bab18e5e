"""``kuwa security``: keys for commands, and keys and permissions for DDS where ROS 2 has them."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

import typer
from rich.console import Console

from kuwa_machines.errors import KuwaError
from kuwa_machines.secretfile import new_secret

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
KEY_BYTES = 32
_MACHINE = typer.Option("zx200", help="Machine, by the name of its folder.")


class SecurityError(KuwaError):
    """A key or a policy cannot be made."""


@app.command()
def key(path: Path = typer.Argument(..., help="New file for the key.")) -> None:
    """Make a key for the codes of commands and mode requests; every node of a stack has the same.

    The file is readable by its owner only. An existing file is never overwritten.
    """
    try:
        new_secret(path, secrets.token_hex(KEY_BYTES))
    except FileExistsError:
        raise SecurityError(
            f"{path}: there is a file already; a key is never overwritten"
        ) from None
    except OSError as error:
        raise SecurityError(f"{path}: cannot be made: {error.strerror}") from None
    print(f"{path}: a new key of {8 * KEY_BYTES} bits. Give it to the stack by --key {path}")


@app.command()
def policy(
    machine: str = _MACHINE,
    out: Path = typer.Option(None, "--out", "-o", help="File to write; else it is printed."),
) -> None:
    """Write the SROS 2 policy of a machine's stack: who may write and read which topic."""
    text = _policy(machine)
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, "utf-8")
        print(f"{out}: policy of the stack of {machine}")


@app.command()
def keystore(
    folder: Path = typer.Argument(..., help="New folder for the keystore."),
    machine: str = _MACHINE,
) -> None:
    """Make a SROS 2 keystore with an enclave for each node; needs an installed ROS 2 with sros2."""
    if shutil.which("ros2") is None:
        raise SecurityError(
            "no command ros2 here: ROS 2 from pip has no SROS 2, and its DDS is built without "
            "security. Install ROS 2 Jazzy (apt install ros-jazzy-ros-base ros-jazzy-sros2) and "
            "run ./kuwa in a terminal where it is sourced. Codes of commands (kuwa security key) "
            "work in both."
        )
    if folder.exists() and any(folder.iterdir()):
        raise SecurityError(f"{folder}: is not empty; give a new folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    written = folder / "policy.xml"
    _run("ros2", "security", "create_keystore", str(folder))
    written.write_text(_policy(machine), "utf-8")
    _run("ros2", "security", "generate_artifacts", "-k", str(folder), "-p", str(written))
    Console(highlight=False, soft_wrap=True).print(
        f"{folder}: keystore with an enclave for each node. In every terminal of this machine:\n"
        f"  export ROS_SECURITY_KEYSTORE={folder.resolve()}\n"
        "  export ROS_SECURITY_ENABLE=true ROS_SECURITY_STRATEGY=Enforce"
    )


def _policy(machine: str) -> str:
    from kuwa_bringup.permissions import policy as policy_of
    from kuwa_bringup.stack import stack
    from kuwa_machines.loader import load_machine

    spec = load_machine(machine)
    return policy_of(stack(machine, "mock"), tuple(spec.sensors.cameras))


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise SecurityError(f"{' '.join(command)} failed: {error.stderr.strip()}") from None
