from setuptools import setup

PACKAGE = "kuwa_robot"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The robot node: wraps a robot, simulated or real, in topics.",
    license="Apache-2.0",
    packages=[PACKAGE],
    package_data={PACKAGE: ["*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    zip_safe=True,
    entry_points={
        "console_scripts": [
            "robot = kuwa_robot.node:main",
            "opera_machine = kuwa_robot.opera_machine:main",
            "emulated_machine = kuwa_robot.emulated_machine:main",
            "emulated_sensors = kuwa_robot.emulated_sensors:main",
        ]
    },
)
