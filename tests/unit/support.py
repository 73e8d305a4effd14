"""What the core's tests share: a provider on an emulator in this process, and resources that are led as the engine leads them."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

import httpx

from runpod_emulator import Clock, create_app
from runpod_serverless_provider.api.client import Client
from runpod_serverless_provider.core import verbs
from runpod_serverless_provider.core.checking import DEFAULTS_KEY
from runpod_serverless_provider.core.failures import Failure
from runpod_serverless_provider.core.ports import Api
from runpod_serverless_provider.core.provider import Provider
from runpod_serverless_provider.core.resource import Resource
from runpod_serverless_provider.core.values import Path, get_in, parse_pattern, render_path
from runpod_serverless_provider.journal import SqliteJournal
from runpod_serverless_provider.resources import FUNCTIONS, RESOURCES
from unit.contract import Exchange, violations

NOON: Final = 1_780_315_200.0  # 2026-06-01T12:00:00Z
PACKAGE: Final = "runpod-serverless:index:"
NONE: Final[frozenset[Path]] = frozenset()


class Notes:
    """A voice that keeps what it is told."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.details: list[str] = []
        self.infos: list[str] = []
        self.warnings: list[str] = []

    async def status(self, text: str) -> None:
        self.statuses.append(text)

    async def debug(self, text: str) -> None:
        self.details.append(text)

    async def inform(self, text: str) -> None:
        self.infos.append(text)

    async def warn(self, text: str) -> None:
        self.warnings.append(text)

    @property
    def everything(self) -> str:
        return "\n".join([*self.statuses, *self.details, *self.infos, *self.warnings])


class _Watched(httpx.ASGITransport):
    """Notes each request together with what the server had before."""

    def __init__(self, app: Any, exchanges: list[Exchange]) -> None:
        super().__init__(app)
        self._store, self._exchanges = app.world.store, exchanges

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        pools: dict[str, list[str]] = {}
        for card in self._store.all("gpus"):
            pools.setdefault(card["pool"], []).append(card["id"])
        exchange = Exchange(request.method, request.url.path, request.content, request.url.query.decode(), None, pools)
        before = copy.deepcopy(self._store.get(exchange.kind, exchange.id)) if exchange.kind else None
        centers = {volume["id"]: volume["dataCenter"] for volume in self._store.all("networkVolumes")}
        self._exchanges.append(Exchange(**{**vars(exchange), "before": before, "centers": centers}))
        return await super().handle_async_request(request)


class World:
    """A provider on an emulator in this process. What it sends is held against the API's document when the world ends."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        worker_quota: int = 100,
        journal_directory: FilePath | None = None,
        **settings: Any,
    ) -> None:
        self._loop = loop
        self._journal_directory = journal_directory
        self._journals: list[SqliteJournal] = []
        self.app = create_app(clock=Clock(lambda: NOON), worker_quota=worker_quota, drop_error=lambda: httpx.ReadError("hung up"))
        self.settings = verbs.Settings(**settings)
        self.exchanges: list[Exchange] = []
        self.notes = Notes()
        self._seen = 0
        self._now = 0.0
        self._clients: list[Client] = []
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://emulator/_emulator/")
        self.restart()

    def restart(self, *, backend: str | None = "file:///state", api_key: str = "key", run: str = "", **settings: Any) -> None:
        """Begin a new process of the provider, with a journal for this backend, key and run."""
        if settings:
            self.settings = verbs.Settings(**settings)
        client = Client(
            base_url="https://emulator/v2",
            jobs_url="https://jobs/v2",
            api_key="key",
            user_agent="tests/1",
            transport=_Watched(self.app, self.exchanges),
            sleep=self._sleep,
            random=lambda: 0.0,
        )
        self._clients.append(client)
        self.api: Api = client
        journal = self._open_journal(backend, api_key, run) if self._journal_directory else None
        self.provider = Provider(RESOURCES, client, self.settings, FUNCTIONS, lambda: self._now, journal)

    def _open_journal(self, backend: str | None = "file:///state", api_key: str = "key", run: str = "") -> SqliteJournal:
        assert self._journal_directory is not None
        self._journals.append(
            SqliteJournal(
                self._journal_directory,
                backend=backend,
                base_url="https://emulator/v2",
                api_key=api_key,
                voice=self.notes,
                run=run,
                wall_clock=self.app.world.clock.now,
            )
        )
        return self._journals[-1]

    def kill(self, **options: Any) -> None:
        """End the process of the provider without a word, and begin the one of another run."""
        if writing := self._journals[-1]._writing:
            self.run(writing)  # a killed engine leaves the provider the time for it
        life = self._journals[-1]._life
        if life is not None:
            life.close()
        self.restart(**options)

    async def _sleep(self, seconds: float) -> None:
        """Let the server's time pass instead of ours."""
        self.app.world.clock.advance(seconds)

    def run(self, work: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        for connection in (*self._clients, self._http, *self._journals):
            self.run(connection.aclose())
        self.app.world.store.close()

    # -- the other side

    def control(self, path: str, body: Any, method: str = "POST") -> Any:
        response = self.run(self._http.request(method, path, json=body))
        assert response.is_success, response.text
        return response.json() if response.content else None

    def seed(self, **objects: Any) -> Any:
        """Put objects there without any rule; return their ids by kind."""
        return self.control("seed", objects)

    def drift(self, kind: str, id: str, **changes: Any) -> None:
        """Change an object behind the provider's back, and let a minute pass."""
        self._now += 60
        self.control(f"resources/{kind}/{id}", changes, "PATCH")

    def submit(self, id: str) -> None:
        """Send a job to an endpoint, as somebody else does."""
        body, key = {"input": {}}, {"Authorization": "Bearer k"}
        response = self.run(self._http.post(f"http://emulator/v2/{id}/run", json=body, headers=key))
        assert response.is_success, response.text

    def fault(self, **order: Any) -> None:
        self.control("faults", order)

    def live(self, kind: str, id: str) -> dict[str, Any]:
        """Return what the server has."""
        found: dict[str, Any] = self.app.world.store.get(kind, id)
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.app.world.store.all(kind)
        return found

    # -- the request log

    def forget(self) -> None:
        """Count requests from here."""
        self._seen = len(self.exchanges)

    @property
    def recent(self) -> list[Exchange]:
        return self.exchanges[self._seen :]

    @property
    def sent(self) -> list[str]:
        """Method and path of each request since `forget`."""
        return [f"{exchange.method} {exchange.path.removeprefix('/v2')}" for exchange in self.recent]

    def bodies(self, method: str) -> list[Any]:
        return [exchange.body for exchange in self.recent if exchange.method == method]

    def body(self, method: str) -> Any:
        """Return the only body that was sent with a method."""
        (found,) = self.bodies(method)
        return found

    @property
    def writes(self) -> list[str]:
        return [line for line in self.sent if not line.startswith("GET ")]


@contextmanager
def world_of(**options: Any) -> Iterator[World]:
    """Give a world, and hold all its requests against the contract at the end."""
    loop = asyncio.new_event_loop()
    world = World(loop, **options)
    try:
        yield world
        wrong = {f"{one.method} {one.path} {one.content.decode()}": found for one in world.exchanges if (found := violations(one))}
        assert wrong == {}, wrong
    finally:
        world.close()
        loop.close()


@dataclass
class Life:
    """One resource, led as the engine leads it. `program` is what a program states of it."""

    world: World
    kind: str
    name: str = "x"
    id: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[Path] = NONE

    @property
    def token(self) -> str:
        return PACKAGE + self.kind

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::unit::{self.token}::{self.name}"

    def check(self, program: Mapping[str, Any], **request: Any) -> verbs.Checked:
        given = {"olds": self.inputs, "random_seed": b"seed", "urn": self.urn, "voice": self.world.notes, **request}
        checked: verbs.Checked = self.world.run(
            self.world.provider.check(verbs.Check(self.token, self.name, news=copy.deepcopy(program), **given))
        )
        return checked

    def checked(self, program: Mapping[str, Any], **request: Any) -> dict[str, Any]:
        """Return checked inputs of a program that is right."""
        checked = self.check(program, **request)
        assert checked.failures == ()
        return dict(checked.inputs)

    def failures(self, program: Mapping[str, Any], **request: Any) -> list[str]:
        return [failure.text for failure in self.check(program, **request).failures]

    def difference(
        self, program: Mapping[str, Any], ignore: tuple[str, ...] = (), secrets: frozenset[Path] = NONE
    ) -> verbs.Difference:
        news = self.checked(self._respecting(program, ignore))
        return self._difference(self.inputs, news, ignore, secrets)

    def _difference(
        self, old_inputs: Any, news: Any, ignore: tuple[str, ...] = (), secrets: frozenset[Path] = NONE
    ) -> verbs.Difference:
        given = {"ignore_changes": ignore, "voice": self.world.notes, "secrets": secrets}
        request = verbs.Diff(self.token, self.id, self.outputs, old_inputs, news, self.urn, **given)
        difference: verbs.Difference = self.world.run(self.world.provider.diff(request))
        return difference

    def plan(self, program: Mapping[str, Any], ignore: tuple[str, ...] = ()) -> dict[str, str]:
        """Return what `pulumi preview` would show, by path."""
        return shown(self.difference(program, ignore))

    def preview(self, program: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs that a preview predicts."""
        news = self.checked(program)
        voice = self.world.notes
        if not self.id:
            create = verbs.Create(self.token, self.urn, news, preview=True, voice=voice)
            return dict(self.world.run(self.world.provider.create(create)).outputs)
        update = verbs.Update(self.token, self.urn, self.id, self.outputs, self.inputs, news, preview=True, voice=voice)
        return dict(self.world.run(self.world.provider.update(update)).outputs)

    def up(self, program: Mapping[str, Any], ignore: tuple[str, ...] = (), secrets: frozenset[Path] = NONE) -> dict[str, str]:
        """Bring the resource to what the program states: nothing, an update, or a replacement, which creates first and then deletes."""
        program = self._respecting(program, ignore)
        if not self.id:
            self._create(program, secrets)
            return {}
        news = self.checked(program, secrets=secrets)
        difference = self._difference(self.inputs, news, ignore, secrets)
        if any(change.kind.value.endswith("replace") for change in difference.changes):
            old = copy.copy(self)
            self.inputs, self.outputs = {}, {}
            self._create(program, secrets)
            old.delete()
        elif difference.changes:
            self.update(news, ignore, secrets)
        else:
            self.inputs = news
        return shown(difference)

    def _create(self, program: Mapping[str, Any], secrets: frozenset[Path]) -> None:
        inputs = self.checked(program, secrets=secrets)
        request = verbs.Create(self.token, self.urn, inputs, secrets, voice=self.world.notes)
        created = self.world.run(self.world.provider.create(request))
        self.id, self.inputs, self.outputs, self.secrets = created.id, inputs, dict(created.outputs), created.secrets

    def update(self, news: dict[str, Any], ignore: tuple[str, ...] = (), secrets: frozenset[Path] = NONE) -> None:
        """Send an update to checked inputs."""
        given = {"ignore_changes": ignore, "voice": self.world.notes, "secrets": secrets}
        request = verbs.Update(self.token, self.urn, self.id, self.outputs, self.inputs, news, **given)
        updated = self.world.run(self.world.provider.update(request))
        self.inputs, self.outputs, self.secrets = news, dict(updated.outputs), updated.secrets

    def read(self) -> verbs.Observed | None:
        request = verbs.Read(self.token, self.urn, self.id, self.inputs, self.outputs, self.secrets, voice=self.world.notes)
        observed: verbs.Observed | None = self.world.run(self.world.provider.read(request))
        return observed

    def refresh(self) -> dict[str, str]:
        """Read, take what was found into the state, and return what `pulumi refresh` would show as drift."""
        before = self.inputs
        observed = self.read()
        assert observed is not None
        self.inputs, self.outputs, self.secrets = dict(observed.inputs), dict(observed.outputs), observed.secrets
        return shown(self._difference(self.inputs, before))

    def take_over(self, id: str) -> dict[str, Any]:
        """Import: read by the id alone, and return what a program would state."""
        self.id, self.inputs, self.outputs = id, {}, {}
        observed = self.read()
        assert observed is not None
        self.inputs, self.outputs, self.secrets = dict(observed.inputs), dict(observed.outputs), observed.secrets
        return dict(observed.inputs)

    def delete(self) -> None:
        request = verbs.Delete(self.token, self.urn, self.id, self.outputs, self.inputs, self.urn, voice=self.world.notes)
        self.world.run(self.world.provider.delete(request))

    def _respecting(self, program: Mapping[str, Any], ignore: tuple[str, ...]) -> dict[str, Any]:
        """Put old values where changes are ignored, as the engine does before it asks for anything."""
        program = copy.deepcopy(dict(program))
        for path in map(parse_pattern, ignore):
            old = get_in(self.inputs, path)
            if old is not None:
                outer = program if len(path) == 1 else program.setdefault(path[0], {})
                outer[path[-1]] = copy.deepcopy(old)
        return program


def shown(difference: verbs.Difference) -> dict[str, str]:
    """Write a plan as its paths and what happens there."""
    return {render_path(change.path): change.kind.value for change in difference.changes}


def stated(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of checked inputs what defaults filled, as far as it is at the top level."""
    return {name: value for name, value in inputs.items() if name != DEFAULTS_KEY and name not in inputs[DEFAULTS_KEY]}


def provider_of(resource: Resource, api: Api, **settings: Any) -> Provider:
    """Make a provider of one resource on an API of the test's own."""
    return Provider((resource,), api, verbs.Settings(**settings))


def texts(failures: tuple[Failure, ...]) -> list[str]:
    """Write failures as a user reads them."""
    return [failure.text for failure in failures]
