"""Every scenario as a gymnasium environment; importing this package registers them.

``gymnasium.make("Kuwa/Zx200-DigTrench-v0")`` after ``import kuwa_sim.envs``, or in one step
``gymnasium.make("kuwa_sim.envs:Kuwa/Zx200-DigTrench-v0")``. A scenario file of one's own:
``gymnasium.make("Kuwa/Scenario-v0", scenario="my.yaml")``.
"""

from kuwa_sim.envs.environment import ScenarioEnv
from kuwa_sim.envs.ids import ANY, env_id, env_ids, register

__all__ = ["ANY", "ScenarioEnv", "env_id", "env_ids", "register"]

register()
