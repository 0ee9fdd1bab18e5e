"""``kuwa data push``: a data set to the Hugging Face Hub, only when a person asks for it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.prompt import Confirm

from kuwa_cli.data.opening import DataError, open_set, size_of
from kuwa_policies.datasets import layout

HIDDEN = [".*", ".*/**", "**/.*"]
"""What is never uploaded: locks, and what is being written."""


def command(
    dataset: Path = typer.Argument(..., help="Folder of the data set."),
    repo: str = typer.Argument(..., help="Where to: OWNER/NAME."),
    public: bool = typer.Option(False, "--public", help="For everybody to see."),
    yes: bool = typer.Option(False, "--yes", help="Do not ask once more."),
) -> None:
    """Upload a data set to the Hugging Face Hub, privately unless --public; asks before it does.

    Nothing else of Kuwa ever uploads anything.
    """
    found = open_set(dataset)
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise DataError(f"{repo}: no name of a data set; expected OWNER/NAME")
    hub = _hub()
    console = Console(stderr=True, highlight=False)
    size = size_of(found.folder) / 1e6
    kind = "public" if public else "private"
    console.print(
        f"  {len(found.episodes)} episodes of a {found.robot_type}, {size:.1f} MB, to the {kind} "
        f"data set {repo}",
        soft_wrap=True,
    )
    if not yes and not Confirm.ask("Upload it?", console=console, default=False):
        console.print("nothing was uploaded")
        sys.exit(1)
    try:
        api = hub.HfApi()
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repo, repo_type="dataset", folder_path=str(found.folder),
            ignore_patterns=HIDDEN, commit_message=f"{len(found.episodes)} episodes",
        )  # fmt: skip
        _tag(api, repo)
    except Exception as error:
        raise DataError(f"{repo}: not uploaded: {error}") from None
    console.print(f"[bold green]uploaded[/] {repo}")


def _tag(api: Any, repo: str) -> None:
    """Let the tag by which LeRobot finds the version of the layout be on what was uploaded now.

    One of an earlier upload stays where it is, also with ``exist_ok``, and LeRobot would go on
    loading that; so it is taken away first.
    """
    tags = api.list_repo_refs(repo, repo_type="dataset").tags
    if any(each.name == layout.VERSION for each in tags):
        api.delete_tag(repo, tag=layout.VERSION, repo_type="dataset")
    api.create_tag(repo, tag=layout.VERSION, repo_type="dataset")


def _hub() -> Any:
    """Return the library that uploads.

    Raises:
        DataError: it is not installed.
    """
    try:
        return import_module("huggingface_hub")
    except ImportError:
        raise DataError(
            "push needs huggingface_hub, which is not installed and which nothing else of Kuwa "
            "needs: ./kuwa exec pip install huggingface_hub, then hf auth login"
        ) from None
