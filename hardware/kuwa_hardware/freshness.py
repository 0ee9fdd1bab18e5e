"""Whether what is genuine was made just now, and comes for the first time.

A code proves who made a message, not when: whoever can listen can send a recording of it. Stamps
here are of the computers' clocks, not of the joint states': those carry no code, and who forges
them could make an old recording look young.
"""

from __future__ import annotations


class Freshness:
    """Keeps the newest message of each source; give it only what a code has proved.

    Nothing is ever forgotten, also where a clock is set back: then a recording would be as good as
    what is sent now.

    Args:
        window: longest time between making and receipt, either way [s]; the clocks of the computers
            must agree better than that.
    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._newest: dict[str, tuple[float, int]] = {}

    def refusal(self, source: str, stamp: float, sequence: int, now: float) -> str:
        """Return why a message is not taken, or ``""``; then it is the newest of its source.

        Args:
            stamp: of making; now: of receipt; both system time [s]. sequence: counts up at the
                source.
        """
        if not abs(now - stamp) <= self._window:
            return (
                f"it was made {now - stamp:.1f} s ago, at most {self._window:g} s is allowed; "
                "look at the clocks"
            )
        if (stamp, sequence) <= self._newest.get(source, (-1.0, -1)):
            return "it is no newer than the last one"
        self._newest[source] = (stamp, sequence)
        return ""
