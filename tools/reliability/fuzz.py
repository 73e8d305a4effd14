"""Whatever comes over the wire: no crash, no reply that is missing, no untyped failure, and no secret in clear.

All calls of the service are made on a real socket, eight at a time; behind it are the real core and client, and an account of the emulator
in this process that at times fails, or answers with nonsense. Rounds have seeds that follow each other, so a round is repeated alone by
taking its seed for the run's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import grpc.aio
from google.protobuf.text_format import MessageToString
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from runpod_emulator.faults import Fault
from runpod_serverless_provider.plugin.server import GRPC_OPTIONS
from runpod_serverless_provider.proto import Struct, provider_pb2, provider_pb2_grpc

from .drawing import RPCS, Dice, Known
from .inprocess import Account, Failed
from .judging import wrong_failure, wrong_reply
from .report import Result, Run

PATIENCE_SECONDS: Final = 30
_ROUND: Final = 1000
_TOGETHER: Final = 8
_MOST_SHOWN: Final = 1500
_FIELDS: Final = (
    *"id name type createdAt image args disk ports env registry dataCenterIds networkVolumes timeout flashboot scaling workers".split(),
    *"gpu cpu requestUrls size dataCenter serverless public category allowedCudaVersions next".split(),
)
"""What the API's objects have, and a word that lists in pages have."""
_SEEDED: Final[dict[str, list[dict[str, Any]]]] = {
    "endpoints": [{"id": "seeded0", "name": "chat"}],
    "networkVolumes": [{"id": "seeded1", "name": "cache"}, {"id": "seeded2", "name": "cache"}],
    "registries": [{"id": "seeded3", "name": "mine", "username": "me", "password": "none"}],
}


@dataclass
class Service:
    """The provider behind a socket, and what was said beside the answers."""

    account: Account
    stub: Any
    log: list[str] = field(default_factory=list)

    async def configure(self) -> None:
        """Configure it as it should be."""
        await self.stub.Configure(provider_pb2.ConfigureRequest(args=Struct()), timeout=PATIENCE_SECONDS)

    async def ask(self, rpc: str, request: Any) -> Any:
        """Call one RPC, and collect a stream. Raises Failed."""
        try:
            call = getattr(self.stub, rpc)(request, timeout=PATIENCE_SECONDS)
            return [answer async for answer in call] if rpc == "List" else await call
        except grpc.aio.AioRpcError as problem:
            details = dict(problem.trailing_metadata() or ()).get("grpc-status-details-bin")
            raise Failed(problem.code(), problem.details() or "", details) from None

    async def wrong(self, rpc: str, request: Any, dice: Dice) -> list[str]:
        """Call one RPC, and say what is wrong with its outcome."""
        try:
            reply = await self.ask(rpc, request)
        except Failed as failed:
            return list(wrong_failure(failed, request))
        may_be_unknown = rpc in ("Check", "CheckConfig") or getattr(request, "preview", False)
        found = [
            text
            for each in (reply if rpc == "List" else [reply])
            for text in wrong_reply(each, request, may_be_unknown=may_be_unknown)
        ]
        dice.learn(rpc, request, reply)
        return found


class _Kept(logging.Handler):
    def __init__(self, records: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(self.format(record))


@contextlib.contextmanager
def _logged(records: list[str]) -> Iterator[None]:
    """Keep all that is logged in this process, on every level."""
    root, handler = logging.getLogger(), _Kept(records)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    """Serve a provider whose account has a little of everything."""
    account = Account()
    await account.control("POST", "seed", _SEEDED)
    server = grpc.aio.server(options=GRPC_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(await account.process(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=GRPC_OPTIONS) as channel:
            service = Service(account, provider_pb2_grpc.ResourceProviderStub(channel))
            await service.configure()
            yield service
    finally:
        await server.stop(0)
        await account.aclose()


def _fault(dice: Dice) -> Fault:
    """Draw what the API does wrong with one of the next requests."""
    pick = dice.chance.choice
    odd: tuple[Any, ...] = (None, 7, -0.5, "", "odd", [], [7], [{}], {}, {"odd": []}, True)
    lists = ("endpoints", "networkVolumes", "templates", "registries", "gpus", "cpus", "dataCenters", "workers")
    body = pick((pick(odd), {"id": pick(odd)}, {"id": "x", pick(_FIELDS): pick(odd)}, {name: [pick(odd)] for name in lists}))
    return Fault(
        action=pick(("status", "reset-before", "commit-then-drop", "commit-then-status", "truncate", "wrong-json", "add-fields")),
        status=pick((400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504)),
        body=body,
        fields={pick(_FIELDS): pick(odd) for _ in range(pick((1, 1, 3)))},
        skip=pick((0, 0, 1)),
    )


def _shown(rpc: str, request: Any) -> str:
    try:
        text = MessageToString(request, as_one_line=True)
    except RecursionError:
        text = f"{request.ByteSize()} bytes, nested too deep to be shown"
    return f"{rpc}({text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + ' …'})"


async def _batch(service: Service, dice: Dice, rpcs: list[str], found: list[str], *, has_faults: bool = True) -> None:
    requests = [(rpc, dice.request(rpc)) for rpc in rpcs]
    if has_faults and dice.is_hit(0.1):
        service.account.app.faults.add(_fault(dice))
    wrongs = await asyncio.gather(*(service.wrong(rpc, request, dice) for rpc, request in requests))
    found += [f"{text}: {_shown(rpc, request)}" for (rpc, request), wrong in zip(requests, wrongs, strict=True) for text in wrong]
    if "Configure" in rpcs:
        await service.configure()


async def sent(number: int, count: int, run: Run) -> list[str]:
    """Send `count` requests that the seed `number` gives; return what was wrong."""
    dice, found = Dice(random.Random(number)), list[str]()
    records: list[str] = []
    with _logged(records):
        async with serving() as service:
            for _ in range(0, count, _TOGETHER):
                await _batch(service, dice, [dice.chance.choice(RPCS) for _ in range(_TOGETHER)], found)
            records += service.account.engine.said
    hits = len(run.canaries.hits)
    run.canaries.look(f"fuzz {number}: log", *records)
    return found + run.canaries.hits[hits:]


def _seeded(run: Run) -> Iterator[Result]:
    count = run.scaled(4_000, 200_000)
    failures: list[str] = []
    for number in range(run.seed, run.seed + count // _ROUND):
        wrong = asyncio.run(sent(number, _ROUND, run))
        failures += [f"{text}; repeat: python -m tools.reliability --quick --only fuzz --seed {number}" for text in wrong]
    yield Result("wire fuzz, seeded", _TARGET, count, tuple(failures), run.seed, _DETAIL)


_TARGET: Final = "0 crashes, replies missing, untyped failures, secrets in clear"
_DETAIL: Final = "all on a real socket, with the real core and client"


async def _furnished(service: Service) -> dict[str, Known]:
    """Let some of each kind come into being, and give what answers told of them."""
    dice = Dice(random.Random(0))
    for _ in range(50):
        await _batch(service, dice, ["Check", "Check", "Create", "Read"], [], has_faults=False)
    return dice.known


def shrinking(run: Run) -> Iterator[Result]:
    """Let hypothesis draw, which then looks for the shortest request that fails."""
    count, tried = run.scaled(400, 20_000), Counter[str]()
    loop = asyncio.new_event_loop()

    @seed(run.seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(st.randoms(use_true_random=False))
    def every_answer_is_right(chance: random.Random) -> None:
        dice = Dice(chance)
        dice.known = known  # always the same, as hypothesis needs it
        rpc = chance.choice(RPCS)
        request = dice.request(rpc)
        tried[rpc] += 1
        wrong = loop.run_until_complete(service.wrong(rpc, request, unused))
        if rpc == "Configure":
            loop.run_until_complete(service.configure())
        assert not wrong, f"{'; '.join(wrong)}: {_shown(rpc, request)}"

    unused = Dice(random.Random(0))
    stack = contextlib.AsyncExitStack()
    service = loop.run_until_complete(stack.enter_async_context(serving()))
    known = loop.run_until_complete(_furnished(service))
    failures: list[str] = []
    try:
        every_answer_is_right()
    except AssertionError as problem:
        failures.append(f"{problem}; {run.repeat('fuzz')}")
    finally:
        loop.run_until_complete(stack.aclose())
        loop.close()
    yield Result("wire fuzz, by hypothesis", _TARGET, tried.total(), tuple(failures), run.seed, _DETAIL)


def measure(run: Run) -> Iterable[Result]:
    """Fuzz with a seed of our own, then with hypothesis."""
    yield from _seeded(run)
    yield from shrinking(run)
