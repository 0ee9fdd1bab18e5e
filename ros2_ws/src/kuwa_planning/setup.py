from setuptools import setup

PACKAGE = "kuwa_planning"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The planning node: from the task and the terrain to joint trajectories.",
    license="Apache-2.0",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    zip_safe=True,
    entry_points={"console_scripts": ["planning = kuwa_planning.node:main"]},
)
