"""What is pickled into the state of each resource: by reference, so the names of this module and its class never change.

It holds the type's token and nothing else. It is loaded by programs too, so what answers the engine is imported on the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi.dynamic import CheckResult, ConfigureRequest, CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

if TYPE_CHECKING:
    from .adapter import Adapter


class RunpodProvider(ResourceProvider):
    """Answers the engine for the resource type `token`."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    @property
    def _adapter(self) -> Adapter:
        from .adapter import Adapter
        from .process import current

        return Adapter(self.token, current())

    def configure(self, req: ConfigureRequest) -> None:
        """Learn the stack's configuration; the key is looked up when it is needed, and never kept with the resource."""
        from .process import current

        current().configure(req.config)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Return canonical inputs, which previews show as outputs, and the program's own form beside them."""
        return self._adapter.check(_olds, news)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Plan. Always says whether there are changes: left open, the engine would compare this very object too."""
        return self._adapter.diff(_id, _olds, _news)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create. What exists in spite of a failure is returned and marked, so that it is never lost."""
        return self._adapter.create(props)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Refresh."""
        return self._adapter.read(id_, props)

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Update; a resource whose creation did not finish is read first."""
        return self._adapter.update(_id, _olds, _news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete."""
        self._adapter.delete(_id, _props)
