"""Makes the film of a run: processes draw its parts side by side, then they are joined."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import av

from kuwa_cli.report.film import STILLS, FilmPlan
from kuwa_cli.runlog import RunLog
from kuwa_machines.errors import KuwaError

PROCESSES = 2


class VideoError(KuwaError):
    """No film could be made; the rest of the report does not need it."""


def make_pictures(folder: Path, log: RunLog, progress: Callable[[float], None]) -> Path:
    """Draw the stills and the film of the saved logs in ``folder``; return the film.

    Args:
        log: the lead machine's.
        progress: called with the share that is done, 0 to 1.

    Raises:
        VideoError: a process failed; its last line of error is in the message.
    """
    total = len(FilmPlan.of(log).times)
    each = -(-total // PROCESSES)
    parts = [folder / f".part{k}.mp4" for k in range(PROCESSES)]
    spans = [(k * each, min(each, total - k * each)) for k in range(PROCESSES)]
    module = [sys.executable, "-m", "kuwa_cli.report.film"]
    jobs = [
        [*module, str(folder), str(part), str(first), str(count)]
        for part, (first, count) in zip(parts, spans, strict=True)
        if count > 0
    ]
    pictures = total + len(STILLS)
    try:
        _run([[*module, "stills", str(folder)]],
             lambda done: progress(done / pictures))  # fmt: skip
        _run(jobs, lambda done: progress((done + len(STILLS)) / pictures))
        film = folder / "film.mp4"
        join(parts[: len(jobs)], film)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return film


def _run(jobs: list[list[str]], count: Callable[[int], None]) -> None:
    """Run processes side by side, counting their lines; end them all when one fails."""
    done, lock = 0, threading.Lock()

    def read(process: subprocess.Popen[str]) -> None:
        nonlocal done
        assert process.stdout is not None
        for _ in process.stdout:
            with lock:
                done += 1
                count(done)

    # A session of their own: Ctrl-C reaches this process, which then ends them.
    processes = [
        subprocess.Popen(
            job, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        for job in jobs
    ]
    errors = [""] * len(jobs)

    def collect(k: int, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        errors[k] = process.stderr.read()

    readers = [threading.Thread(target=read, args=(p,), daemon=True) for p in processes]
    readers += [
        threading.Thread(target=collect, args=(k, p), daemon=True) for k, p in enumerate(processes)
    ]
    try:
        for reader in readers:
            reader.start()
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for reader in readers:
            reader.join(timeout=5)
    for process, text in zip(processes, errors, strict=True):
        if process.returncode:
            last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
            raise VideoError(last or f"drawing ended with code {process.returncode}")


def join(parts: list[Path], film: Path) -> None:
    """Put films of equal format behind each other without encoding them again."""
    with av.open(str(film), "w", options={"movflags": "faststart"}) as out:
        stream, offset = None, 0
        for part in parts:
            with av.open(str(part)) as source:
                video = source.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(video)
                    stream.time_base = video.time_base
                end = 0
                for packet in source.demux(video):
                    if packet.pts is None or packet.dts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = stream
                    out.mux(packet)
                offset += end
