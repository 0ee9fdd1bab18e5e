# Kuwa on the official ROS 2 Jazzy image: the same requirements.lock, but ROS 2 itself comes from the image.
#
#   docker build -t kuwa .                    the stack
#   docker build -t kuwa-test --target test . the same, running its tests
#   docker build -t kuwa-machine --target machine .   for the computer on the machine, x86-64 or arm64:
#     docker buildx build --platform linux/arm64 -t kuwa-machine --target machine .
#   docker run --rm -v "$PWD/runs:/home/kuwa/runs" kuwa sim --headless
#
# To reach nodes outside the container: --network host --ipc host, -e ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET
# and the host's ROS_DOMAIN_ID.

FROM ros:jazzy-ros-base AS stack

# The list that ./kuwa checks for. The versions are those of the image's Ubuntu release.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
        cmake \
        g++ \
        gcc \
        libegl1 \
        libgl1-mesa-dri \
        libgles2 \
        make \
        python3-dev \
        python3-venv \
    && rm -rf /var/lib/apt/lists/*

# Number 1000, as the first user of most hosts has: run folders in a mounted folder then belong to that person.
RUN userdel --remove ubuntu && useradd --uid 1000 --create-home --shell /bin/bash kuwa \
    && install -d -o kuwa -g kuwa /opt/kuwa /home/kuwa/runs
USER 1000:1000
WORKDIR /opt/kuwa

# First what decides the packages, so that a change of code does not install them again. The empty package
# folders are what the editable installation points to.
COPY --chown=kuwa:kuwa LICENSE kuwa pyproject.toml requirements.lock requirements-learn.lock ./
COPY --chown=kuwa:kuwa cli/ cli/
RUN mkdir -p machines/kuwa_machines sim/kuwa_sim policies/kuwa_policies hardware/kuwa_hardware \
    && touch machines/kuwa_machines/__init__.py sim/kuwa_sim/__init__.py \
        policies/kuwa_policies/__init__.py hardware/kuwa_hardware/__init__.py \
    && PIP_NO_CACHE_DIR=1 ./kuwa setup

COPY --chown=kuwa:kuwa . .
RUN ./kuwa setup && ./kuwa doctor

WORKDIR /home/kuwa
ENTRYPOINT ["/opt/kuwa/kuwa"]
CMD ["--help"]

FROM stack AS test
WORKDIR /opt/kuwa
RUN PIP_NO_CACHE_DIR=1 ./kuwa setup --learn
CMD ["test"]

# On the machine: CAN tools, and the stack that waits for a person. docs/how-to/deploy.md has the whole line:
#   docker run --network host --ulimit rtprio=90 --ulimit memlock=-1 -v kuwa-state:/home/kuwa/.local/state/kuwa \
#     kuwa-machine --machine zx200 --robot com3_can --bus socketcan:can0
FROM stack AS machine
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends \
        can-utils \
        iproute2 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o kuwa -g kuwa /home/kuwa/.local /home/kuwa/.local/state /home/kuwa/.local/state/kuwa
USER 1000:1000
ENTRYPOINT ["/opt/kuwa/kuwa", "up"]
CMD ["--help"]

# Last, so that a plain `docker build` makes the stack.
FROM stack
