from setuptools import setup

PACKAGE = "kuwa_ros"

setup(
    name=PACKAGE,
    version="0.1.0",
    description="What every Kuwa node shares: topics, conversions, lifecycle base, loops.",
    license="Apache-2.0",
    packages=[PACKAGE],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
    ],
    zip_safe=True,
)
