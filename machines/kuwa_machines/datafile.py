"""Strict loading of YAML data files into frozen models: a refusal names file, key and remedy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from kuwa_machines.errors import KuwaError, choices

MAX_BYTES = 1_000_000
"""A data file larger than this is refused before it is parsed."""


class Data(BaseModel):
    """Base of every model that is read from a data file: frozen, finite, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def fingerprint(*parts: BaseModel | str) -> str:
    """Return what differs wherever a number in these data does; 16 hexadecimal digits."""
    told = (part if isinstance(part, str) else part.model_dump_json() for part in parts)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


class DataFile(Data):
    """A file of numbers, each naming one of the file's ``sources``."""

    sources: dict[str, str]


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; raise on a repeated key."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is no word", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_M = TypeVar("_M", bound=BaseModel)


def load_data(path: Path, model: type[_M], error: type[KuwaError]) -> _M:
    """Read ``path`` into ``model``.

    Raises:
        KuwaError: of the given class, naming file, key, value and what would have been right.
    """
    return parse_data(read_yaml(path, error), path, model, error)


def parse_data(raw: Any, where: Path | str, model: type[_M], error: type[KuwaError]) -> _M:
    """Check parsed YAML against ``model``; ``where`` names it in refusals."""
    if not isinstance(raw, dict):
        raise error(f"{where}: expected a mapping of keys, found {type(raw).__name__}")
    try:
        result = model.model_validate(raw)
    except ValidationError as exc:
        raise error("\n".join(_explain(where, model, exc))) from None
    if isinstance(result, DataFile):
        for key, leaf in quantities(raw):
            if str(leaf["source"]) not in result.sources:
                raise error(
                    f"{where}: {key}: source {leaf['source']!r} is not in this file's sources; "
                    f"{choices(str(leaf['source']), result.sources)}"
                )
    return result


def read_yaml(path: Path, error: type[KuwaError]) -> Any:
    """Parse one YAML file; every problem becomes ``error`` with the file's name."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(f"{path}: larger than {MAX_BYTES} bytes; not a data file of this kind")
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except FileNotFoundError:
        raise error(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise error(f"{path}: not valid YAML: {exc}") from None


def quantities(raw: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (dotted key, leaf) for every ``{value, unit, source}`` in parsed YAML."""
    if isinstance(raw, dict):
        if "value" in raw and "unit" in raw:
            yield prefix, raw
            return
        for key, child in raw.items():
            yield from quantities(child, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(raw, list):
        for index, child in enumerate(raw):
            yield from quantities(child, f"{prefix}[{index}]")


def _explain(where: Path | str, model: type[BaseModel], exc: ValidationError) -> Iterator[str]:
    for item in exc.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "(file)"
        if item["type"] == "extra_forbidden":
            name = str(item["loc"][-1])
            yield f"{where}: {key}: unknown key; {choices(name, _fields(model, item['loc'][:-1]))}"
        elif item["type"] == "missing":
            yield f"{where}: {key}: this key is missing"
        else:
            yield f"{where}: {key}: {item['msg'].removeprefix('Value error, ')}"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys at ``loc``: walks the annotations, past union tags and indices."""
    candidates: list[type[BaseModel]] = [model]
    for part in loc:
        matches: list[type[BaseModel]] = []
        for candidate in candidates:
            field = candidate.model_fields.get(str(part))
            if field is not None:
                matches += _models_in(field.annotation)
        candidates = matches or candidates
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in getattr(annotation, "__args__", ()) for found in _models_in(arg)]
