"""Which operation answers which path."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runpod_emulator.world import Handler


@dataclass(frozen=True)
class Route:
    """A path and its operations by method. Those of the REST API count against its rate limit."""

    path: str
    handlers: Mapping[str, Handler]
    is_limited: bool = True
    _pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        pattern = "/".join(f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part) for part in self.path.split("/"))
        object.__setattr__(self, "_pattern", re.compile(pattern))

    def params(self, path: str) -> dict[str, str] | None:
        """Return the parameters that a path carries, None where it is not of this route."""
        found = self._pattern.fullmatch(path)
        return None if found is None else found.groupdict()


class Routes:
    """All routes. One without parameters goes before one that its path would also fit, else the first that fits."""

    def __init__(
        self, table: Mapping[str, Mapping[str, Handler]], unlimited: Mapping[str, Mapping[str, Handler]] | None = None
    ) -> None:
        routes = [Route(path, handlers) for path, handlers in table.items()]
        routes += [Route(path, handlers, is_limited=False) for path, handlers in (unlimited or {}).items()]
        self._fixed = {route.path: route for route in routes if "{" not in route.path}
        self._open = [route for route in routes if "{" in route.path]

    def find(self, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a path and the parameters it carries."""
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed, {}
        for route in self._open:
            params = route.params(path)
            if params is not None:
                return route, params
        return None
