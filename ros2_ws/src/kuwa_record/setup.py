from setuptools import setup

PACKAGE = "kuwa_record"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="The record node: every topic into a bag, and episodes into training sets.",
    license="Apache-2.0",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    zip_safe=True,
    entry_points={"console_scripts": ["record = kuwa_record.node:main"]},
)
