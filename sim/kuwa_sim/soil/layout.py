"""Where each number lies in the packed arrays that the kernels share, named once.

Kernels take plain float64 arrays, because unpacking a Python object on every call would cost more
than the physics. Index constants are frozen into the compiled code.
"""

from __future__ import annotations

# prm: parameters; the ground's own come first, a tool's copy of them continues with its own
X0 = 0  # world x of the first cell centre [m]
Y0 = 1  # world y of the first cell centre [m]
CELL = 2  # edge of a cell [m]
GAMMA = 3  # unit weight of undisturbed soil [N/m³]
COHESION = 4  # [Pa]
ADHESION = 5  # [Pa]
TAN_DELTA = 6  # soil on metal
SIN_DELTA = 7
COS_DELTA = 8
SWELL = 9  # loose volume / undisturbed volume
TAN_REPOSE = 10  # loose soil
TAN_PHI = 11  # undisturbed soil
WALL = 12  # height a vertical wall of undisturbed soil stands [m]
BEARING_C = 13  # bearing capacity factors of a strip
BEARING_Q = 14
BEARING_GAMMA = 15
GRAVITY = 16  # [m/s²]
WIDTH = 17  # a tool's own from here: width of the cutting edge [m]
EDGE = 18  # thickness of the cutting edge as the soil feels it [m]
FLOOR_X = 19  # unit vector tip -> heel in the bucket frame
FLOOR_Z = 20
MOUTH_X = 21  # unit vector into the bucket, square to the mouth
MOUTH_Z = 22
SIDE = 23  # length of a side plate as the soil feels it [m]
STIFFNESS = 24  # of an elastic contact [N/m]
DAMPING = 25  # of a contact, inside its yield [N·s/m]
SINK = 26  # penetration at which the shell begins to displace soil [m]
FLOW_TIME = 27  # time constant of soil leaving the bucket [s]
LOAD_SURCHARGE = 28  # share of the carried weight that bears on the soil coming in
TIP_X = 29  # tip in the bucket frame, from the pin [m]
TIP_Z = 30
LIP_X = 31  # upper lip relative to the tip, bucket frame [m]
LIP_Z = 32
SETTLED = 33  # a slope this much above repose counts as settled, per cell [m]
HEIGHT = 34  # of a blade [m]
RAKE = 35  # of a blade's face against level ground [rad]
LAYERS = 36  # layers below the topmost soil
LAYER = 37  # 37:45 depth of the top [m] and cohesion [Pa] of each, by turns
N_PRM = 45

# shell: one row a contact point of the outside of the bucket, relative to the tip
SHELL_X = 0
SHELL_Z = 1
SHELL_NX = 2  # outward normal, bucket frame
SHELL_NZ = 3
SHELL_LENGTH = 4  # length of profile that the point stands for [m]
N_SHELL = 5

# load: what the bucket holds, written by tool_tick
VOLUME = 0  # in undisturbed ("bank") cubic metres [m³]
MASS = 1  # [kg]
CENTRE_X = 2  # centre of mass in the bucket frame, from the pin [m]
CENTRE_Z = 3
CAPACITY = 4  # what it can hold at its present attitude, bank [m³]
CUT = 5  # bank volume cut by the edge since reset [m³]
PUSHED = 6  # bank volume cut or displaced that did not enter the bucket since reset [m³]
SPILLED = 7  # bank volume that left the bucket since reset [m³]
N_LOAD = 8

# motion: the edge at the last tick
M_VALID = 0  # 0 until the first tick
M_TIP = 1  # 1:4
M_Y = 4  # 4:7 direction of the edge
N_MOTION = 7

# meta: counters of the levelling, int64
SWEEP = 0  # sweeps done; its low bits choose the direction
CURSOR = 1  # tile at which the next sweep begins
VISITS = 2  # tiles visited in the last tick
UNSETTLED = 3  # 1 while tiles are waiting
N_META = 4

# own: counters of one bucket, int64
COVERED = 0  # cells under the bucket's shell
N_OWN = 1

# bodies: one row a dump body that catches what is poured over it
B_ACTIVE = 0  # 1 where a machine owns the row
B_POSITION = 1  # 1:4 origin of the body in the world [m]
B_ROTATION = 4  # 4:13 rows of its rotation to the world
B_X_MIN = 13  # opening in the body's frame [m]
B_X_MAX = 14
B_HALF_Y = 15
B_FLOOR = 16  # height of the floor in the body's frame [m]
B_CAUGHT = 17  # bank volume that fell in since its machine last looked [m³]
N_BODY = 18

TILE = 8
"""Cells along the edge of a tile, the unit in which the field keeps track of activity."""
