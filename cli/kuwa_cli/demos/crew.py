"""Worker processes that each record one episode after another; a dead one is told of by its work.

A pool of the standard library waits for ever when a worker is killed, or gives up everything.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from kuwa_cli.demos.episode import Job, Result, record
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import DatasetInfo

ATTEMPTS = 2
"""An episode whose worker died is begun again so often, all in all."""


class Crew:
    """Records episodes on several cores; a context manager.

    Args:
        job, info: of every episode.
        staging: folder in which each becomes a data set of its own.
        workers: how many processes.
    """

    def __init__(self, job: Job, info: DatasetInfo, staging: Path, workers: int) -> None:
        self._arguments = (job, info, staging)
        # Spawned, not forked: a fork of a process with threads may stand still for ever.
        self._context = get_context("spawn")
        # Several threads in each of several processes would stand in one another's way.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        self._idle: list[tuple[BaseProcess, Connection]] = []
        self._busy: dict[Connection, tuple[BaseProcess, int]] = {}
        self._workers = workers
        self._tried: dict[int, int] = {}

    def run(self, numbers: Iterator[int]) -> Iterator[Result]:
        """Yield the results of these episodes as they come, in any order.

        Raises:
            KuwaError: an episode could not be recorded; or its worker died again and again.
        """
        waiting: list[int] = []
        while True:
            while len(self._busy) < self._workers:
                number = waiting.pop() if waiting else next(numbers, None)
                if number is None:
                    break
                self._give(number)
            if not self._busy:
                return
            for ready in wait(list(self._busy)):
                assert isinstance(ready, Connection)
                process, number = self._busy.pop(ready)
                try:
                    kind, value = ready.recv()
                except (EOFError, OSError):
                    process.join(5.0)
                    ready.close()
                    if self._tried[number] >= ATTEMPTS:
                        raise KuwaError(
                            f"episode {number}: its process ended with code {process.exitcode} "
                            f"{ATTEMPTS} times (a signal of −9 is most often too little memory: "
                            "give fewer --workers)"
                        ) from None
                    waiting.append(number)
                    continue
                self._idle.append((process, ready))
                if kind == "error":
                    raise KuwaError(f"episode {number}: {value}")
                yield value

    def _give(self, number: int) -> None:
        if not self._idle:
            mine, theirs = self._context.Pipe()
            process = self._context.Process(
                target=_work, args=(theirs, *self._arguments), daemon=True, name="kuwa-demo"
            )
            process.start()
            theirs.close()
            self._idle.append((process, mine))
        worker, connection = self._idle.pop()
        self._tried[number] = self._tried.get(number, 0) + 1
        connection.send(number)
        self._busy[connection] = worker, number

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        """End at once: what a worker was at is incomplete, and begins anew next time."""
        everyone = [*self._idle, *((p, c) for c, (p, _) in self._busy.items())]
        for process, connection in everyone:
            process.terminate()
            connection.close()
        for process, _connection in everyone:
            process.join(5.0)
            if process.is_alive():
                process.kill()
        self._idle, self._busy = [], {}


def staged(staging: Path, number: int) -> Path:
    """Return the folder of an episode that is not in the data set yet."""
    return staging / f"episode-{number:06d}"


def _work(connection: Connection, job: Job, info: DatasetInfo, staging: Path) -> None:
    """Record what one is told to until nobody is there any more."""
    # Ctrl-C reaches every process of a terminal; the one that leads decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            number = connection.recv()
        except (EOFError, OSError):
            return
        answer: tuple[str, Any]
        try:
            answer = ("done", record(job, number, staged(staging, number), info))
        except KuwaError as error:
            answer = ("error", str(error))
        except BaseException:
            answer = ("error", traceback.format_exc())
        connection.send(answer)
