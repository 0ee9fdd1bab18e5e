from setuptools import setup

PACKAGE = "kuwa_control"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The control node: from a trajectory or a velocity reference to valve requests.",
    license="Apache-2.0",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    zip_safe=True,
    entry_points={"console_scripts": ["control = kuwa_control.node:main"]},
)
