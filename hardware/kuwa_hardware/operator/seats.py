"""One driver at a time: who has the controls, who asks for them, and the visible hand-over."""

from __future__ import annotations

from dataclasses import dataclass

ASKING = 15.0
"""An unanswered request for the controls lapses after this [s]."""


@dataclass(slots=True)
class Seat:
    """Somebody at a page or a joystick.

    Args:
        name: for people. live: whether its program is heard.
    """

    name: str
    live: bool = True


class Seats:
    """Who drives and who looks on; names are by id of the connection."""

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}
        self.driver = ""
        """Id of who drives; empty: nobody."""
        self.asker = ""
        """Id of who asks for the controls."""
        self._until = 0.0

    def name(self, who: str) -> str:
        """Return the name of an id, or ``""``."""
        seat = self._seats.get(who)
        return "" if seat is None else seat.name

    def names(self) -> list[str]:
        """Return the names of all who are here."""
        return [seat.name for seat in self._seats.values()]

    def join(self, who: str, name: str) -> None:
        """Somebody is here; the first one drives."""
        self._seats[who] = Seat(name)
        if not self.driver:
            self.driver = who

    def leave(self, who: str) -> bool:
        """Somebody has gone; return whether that one drove. Nobody drives then by accident."""
        self._seats.pop(who, None)
        if self.asker == who:
            self.asker = ""
        if self.driver != who:
            return False
        self.driver = ""
        return True

    def rename(self, who: str, name: str) -> None:
        """Somebody gives another name."""
        if who in self._seats:
            self._seats[who].name = name

    def live(self, who: str, live: bool) -> None:
        """Say whether somebody's program is heard."""
        if who in self._seats:
            self._seats[who].live = live

    def ask(self, now: float, who: str) -> str:
        """Somebody asks for the controls; return ``"taken"``, ``"asked"`` or why not.

        They are taken at once where nobody drives or the driver's program is not heard; else the
        driver is asked.
        """
        if who not in self._seats:
            return "not connected"
        if who == self.driver:
            return "taken"
        driver = self._seats.get(self.driver)
        if driver is None or not driver.live:
            self.driver, self.asker = who, ""
            return "taken"
        if self.asker and self.asker != who and now <= self._until:
            return f"{self.name(self.asker)} asks already"
        self.asker, self._until = who, now + ASKING
        return "asked"

    def give(self, who: str) -> bool:
        """The driver gives the controls to who asks; return whether they changed hands."""
        if who != self.driver or not self.asker:
            return False
        self.driver, self.asker = self.asker, ""
        return True

    def refuse(self, who: str) -> None:
        """The driver keeps the controls."""
        if who == self.driver:
            self.asker = ""

    def step(self, now: float) -> None:
        """Let an unanswered request lapse at steady time ``now`` [s]."""
        if self.asker and now > self._until:
            self.asker = ""
