"""Kernels between MuJoCo's bodies and soil tools: the pose of an edge, and its wrench back."""

from __future__ import annotations

from numba import njit


@njit(cache=True)
def tool_pose(edge, position, rotation, cvel, com, pose):  # type: ignore[no-untyped-def]
    """Fill ``pose`` (layout of kuwa_sim.soil) from MuJoCo's body pose and spatial velocity."""
    for i in range(3):
        pose[9 + i] = rotation[3 * i]
        pose[12 + i] = rotation[3 * i + 1]
        pose[15 + i] = rotation[3 * i + 2]
        pose[i] = position[i] + rotation[3 * i] * edge[0] + rotation[3 * i + 2] * edge[1]
        pose[6 + i] = cvel[i]
    rx, ry, rz = pose[0] - com[0], pose[1] - com[1], pose[2] - com[2]
    pose[3] = cvel[3] + cvel[1] * rz - cvel[2] * ry
    pose[4] = cvel[4] + cvel[2] * rx - cvel[0] * rz
    pose[5] = cvel[5] + cvel[0] * ry - cvel[1] * rx


@njit(cache=True)
def shift_pose(pose, left):  # type: ignore[no-untyped-def]
    """Move the pose's point along its y axis [m]."""
    rx, ry, rz = left * pose[12], left * pose[13], left * pose[14]
    pose[0] += rx
    pose[1] += ry
    pose[2] += rz
    pose[3] += pose[7] * rz - pose[8] * ry
    pose[4] += pose[8] * rx - pose[6] * rz
    pose[5] += pose[6] * ry - pose[7] * rx


@njit(cache=True)
def apply_tool(out, pose, com, wrench):  # type: ignore[no-untyped-def]
    """Put the ground's force on the tool, moved from its edge to the body's centre of mass."""
    rx, ry, rz = pose[0] - com[0], pose[1] - com[1], pose[2] - com[2]
    fx, fy, fz = out[0], out[1], out[2]
    wrench[0] = fx
    wrench[1] = fy
    wrench[2] = fz
    wrench[3] = out[3] + ry * fz - rz * fy
    wrench[4] = out[4] + rz * fx - rx * fz
    wrench[5] = out[5] + rx * fy - ry * fx
