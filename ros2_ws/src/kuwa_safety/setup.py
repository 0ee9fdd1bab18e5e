from setuptools import setup

PACKAGE = "kuwa_safety"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The safety node: the gate, sole writer of applied commands.",
    license="Apache-2.0",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    zip_safe=True,
    entry_points={"console_scripts": ["safety = kuwa_safety.node:main"]},
)
