"""Query parameters as the document types them; a malformed one is refused with 422."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from runpod_emulator.problems import unprocessable
from runpod_emulator.shapes import full_match
from runpod_emulator.world import Call

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)


def _check(name: str, value: str, choices: Sequence[str] | None, pattern: str | None) -> None:
    if choices is not None and value not in choices:
        raise unprocessable(f"query.{name}: value must be one of {', '.join(repr(choice) for choice in choices)}")
    if pattern is not None and not full_match(pattern, value):
        raise unprocessable(f"query.{name}: '{value}' does not match pattern '{pattern}'")


def text(call: Call, name: str, *, choices: Sequence[str] | None = None, pattern: str | None = None) -> str | None:
    """Return a parameter, None where it is absent."""
    value = call.query.get(name)
    if value is not None:
        _check(name, value, choices, pattern)
    return value


def texts(
    call: Call, name: str, *, choices: Sequence[str] | None = None, pattern: str | None = None, max_items: int | None = None
) -> list[str] | None:
    """Return a comma-separated parameter, None where it is absent."""
    value = call.query.get(name)
    if value is None:
        return None
    values = value.split(",") if value else []
    for item in values:
        _check(name, item, choices, pattern)
    if max_items is not None and len(values) > max_items:
        raise unprocessable(f"query.{name}: maxItems: got {len(values)}, want {max_items}")
    return values


def whole(call: Call, name: str, minimum: int, maximum: int | None = None) -> int | None:
    """Return an integer, None where it is absent."""
    value = call.query.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise unprocessable(f"query.{name}: got string, want integer")
    number = int(value)
    if number < minimum:
        raise unprocessable(f"query.{name}: minimum: got {number}, want {minimum}")
    if maximum is not None and number > maximum:
        raise unprocessable(f"query.{name}: maximum: got {number}, want {maximum}")
    return number


def flag(call: Call, name: str) -> bool | None:
    """Return a boolean, None where it is absent."""
    value = call.query.get(name)
    if value not in (None, "true", "false"):
        raise unprocessable(f"query.{name}: got string, want boolean")
    return None if value is None else value == "true"


def moment(value: str, where: str) -> float:
    """Return an RFC 3339 timestamp in seconds since the epoch."""
    found = _MOMENT.fullmatch(value)
    if found is not None:
        base, fraction, sign, hours, minutes = found.groups()
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        try:
            return (
                datetime.fromisoformat(base).replace(tzinfo=timezone.utc).timestamp()
                - offset.total_seconds()
                + float(fraction or 0)
            )
        except ValueError:  # the thirtieth of February
            pass
    raise unprocessable(f"{where}: '{value}' is not a valid date-time")
