"""The small language in which request bodies are described; each failure names its path as the API does."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

LARGEST = 2**63 - 1  # the API's integers have 64 bits


class Shape(Protocol):
    """Anything that can say what is wrong with a value."""

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield one line for each failure."""
        ...


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # Python's `$` also matches before a newline, and its `\d` takes the digits of every script
    return re.compile(pattern.replace("$", r"\Z"), re.ASCII)


def full_match(pattern: str, value: str) -> bool:
    """Say whether a value matches a pattern of the document, which brings its own anchors."""
    return _compiled(pattern).search(value) is not None


def type_name(value: Any) -> str:
    """Name a JSON value's type. A number with a decimal point is never an integer here, as it is not for the API."""
    if value is None:
        return "null"
    names: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "object")


def _bounds(value: float, minimum: float | None, maximum: float | None, path: str) -> Iterator[str]:
    if minimum is not None and value < minimum:
        yield f"{path}: minimum: got {value}, want {minimum}"
    if maximum is not None and value > maximum:
        yield f"{path}: maximum: got {value}, want {maximum}"


@dataclass(frozen=True)
class Text:
    """A string."""

    min_length: int = 0
    pattern: str | None = None
    choices: Sequence[str] | None = None

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if not isinstance(value, str):
            yield f"{path}: got {type_name(value)}, want string"
            return
        if len(value) < self.min_length:
            yield f"{path}: minLength: got {len(value)}, want {self.min_length}"
        if self.pattern is not None and not full_match(self.pattern, value):
            yield f"{path}: '{value}' does not match pattern '{self.pattern}'"
        if self.choices is not None and value not in self.choices:
            yield f"{path}: value must be one of {', '.join(repr(choice) for choice in self.choices)}"


@dataclass(frozen=True)
class Whole:
    """An integer, written without a decimal point."""

    minimum: int | None = None
    maximum: int | None = None

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if type_name(value) != "integer":
            yield f"{path}: got {type_name(value)}, want integer"
        elif abs(value) > LARGEST:
            yield f"{path}: got a number of more than 64 bits, want integer"
        else:
            yield from _bounds(value, self.minimum, self.maximum, path)


@dataclass(frozen=True)
class Number:
    """Any number."""

    minimum: float | None = None

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if type_name(value) not in ("integer", "number"):
            yield f"{path}: got {type_name(value)}, want number"
        elif abs(value) > LARGEST:  # infinity too: it is how Python reads 1e400
            yield f"{path}: got a number that is too large, want number"
        else:
            yield from _bounds(value, self.minimum, None, path)


@dataclass(frozen=True)
class Flag:
    """A boolean."""

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if not isinstance(value, bool):
            yield f"{path}: got {type_name(value)}, want boolean"


@dataclass(frozen=True)
class Anything:
    """Any JSON value."""

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield nothing."""
        yield from ()


@dataclass(frozen=True)
class Nullable:
    """Another shape, or null."""

    shape: Shape

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if value is not None:
            yield from self.shape.failures(value, path)


@dataclass(frozen=True)
class Array:
    """A list."""

    items: Shape
    min_items: int = 0
    are_unique: bool = False

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if not isinstance(value, list):
            yield f"{path}: got {type_name(value)}, want array"
            return
        if len(value) < self.min_items:
            yield f"{path}: minItems: got {len(value)}, want {self.min_items}"
        for index, item in enumerate(value):
            yield from self.items.failures(item, f"{path}[{index}]")
            if self.are_unique and item in value[:index]:
                yield f"{path}: items at {value.index(item)} and {index} are equal"


@dataclass(frozen=True)
class Mapped:
    """An object with any keys."""

    values: Shape

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if not isinstance(value, dict):
            yield f"{path}: got {type_name(value)}, want object"
            return
        for key, item in value.items():
            yield from self.values.failures(item, f"{path}.{key}")


@dataclass(frozen=True)
class Object:
    """An object with these keys and, unless it is open, no others."""

    properties: Mapping[str, Shape]
    required: Sequence[str] = ()
    min_properties: int = 0
    companions: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if not isinstance(value, dict):
            yield f"{path}: got {type_name(value)}, want object"
            return
        if len(value) < self.min_properties:
            yield f"{path}: minProperties: got {len(value)}, want {self.min_properties}"
        for key in self.required:
            if key not in value:
                yield f"{path}: missing property '{key}'"
        for key, companion in self.companions.items():
            if key in value and companion not in value:
                yield f"{path}: property '{companion}' is required, if '{key}' property exists"
        unknown = [key for key in value if key not in self.properties]
        if unknown and not self.is_open:
            yield f"{path}: additional properties {', '.join(repr(key) for key in unknown)} not allowed"
        for key, shape in self.properties.items():
            if key in value:
                yield from shape.failures(value[key], f"{path}.{key}")


@dataclass(frozen=True)
class OneOf:
    """A union of objects that is told apart by one key."""

    discriminator: str
    variants: Mapping[str, Object]

    def failures(self, value: Any, path: str) -> Iterator[str]:
        """Yield what is wrong with the value."""
        if not isinstance(value, dict):
            yield f"{path}: got {type_name(value)}, want object"
        elif self.discriminator not in value:
            yield f"{path}: missing property '{self.discriminator}'"
        elif not isinstance(value[self.discriminator], str) or value[self.discriminator] not in self.variants:
            yield f"{path}.{self.discriminator}: value must be one of {', '.join(repr(name) for name in self.variants)}"
        else:
            yield from self.variants[value[self.discriminator]].failures(value, path)
