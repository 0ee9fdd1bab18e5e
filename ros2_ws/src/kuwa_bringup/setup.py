from glob import glob

from setuptools import setup

PACKAGE = "kuwa_bringup"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The stack as data, and what starts and supervises it.",
    license="Apache-2.0",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/config", ["config/loopback.xml"]),
        (f"share/{PACKAGE}/launch", glob("../../../launch/*.launch.py")),
    ],
    zip_safe=True,
    entry_points={"console_scripts": ["supervisor = kuwa_bringup.supervisor:main"]},
)
