"""Names of the environments, made from the scenarios: ``Kuwa/<Machine>-<Task>-v0``.

Both words come from the scenario: the data of the machine that leads, and the scenario's own name,
each with capitals in place of underscores. ``dig_trench`` with ``zx200`` is
``Kuwa/Zx200-DigTrench-v0``.
"""

from __future__ import annotations

import logging
from typing import Final

import gymnasium

from kuwa_machines.errors import KuwaError
from kuwa_sim.scenario import Scenario, load_scenario, scenario_names

VERSION: Final = 0
"""Counts up when an observation, an action or a reward changes its meaning."""
ANY: Final = f"Kuwa/Scenario-v{VERSION}"
"""The environment of a scenario file that is named when it is made."""
ENTRY: Final = "kuwa_sim.envs.environment:ScenarioEnv"

_log = logging.getLogger(__name__)


def env_id(scenario: Scenario) -> str:
    """Return the name of a scenario's environment."""
    return f"Kuwa/{_word(scenario.lead.machine)}-{_word(scenario.name)}-v{VERSION}"


def env_ids() -> dict[str, str]:
    """Return the scenarios that are environments: name of the environment → of the scenario.

    A scenario whose lead has no task has nothing to learn. One that does not load is left out, so
    that one broken file costs only itself; ``./kuwa scenarios`` says what is wrong with it.
    """
    found = {}
    for name in scenario_names():
        try:
            scenario = load_scenario(name)
        except KuwaError as error:
            _log.warning("no environment of scenario %r: %s", name, error)
            continue
        if scenario.lead.task is not None:
            found[env_id(scenario)] = name
    return found


def register() -> None:
    """Tell gymnasium of all of them; again is harmless."""
    if ANY not in gymnasium.registry:
        gymnasium.register(ANY, ENTRY)
    for name, scenario in env_ids().items():
        if name not in gymnasium.registry:
            gymnasium.register(name, ENTRY, kwargs={"scenario": scenario})


def _word(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
