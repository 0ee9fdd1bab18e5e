from setuptools import setup

PACKAGE = "kuwa_teleop"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The operator: sticks into velocity references, and the page in a browser.",
    license="Apache-2.0",
    packages=[PACKAGE],
    package_data={PACKAGE: ["page/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    zip_safe=False,
    entry_points={"console_scripts": ["teleop = kuwa_teleop.node:main"]},
)
