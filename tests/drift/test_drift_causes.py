"""Which causes are named, and in which words; and how an endpoint's workers are looked up, with which key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runpod_serverless_provider.drift import (
    SECRET,
    Account,
    CauseKind,
    PropertyDrift,
    ResourceDrift,
    Worker,
    WorkersUnknown,
)
from runpod_serverless_provider.drift.causes import causes_of
from runpod_serverless_provider.drift.wiring import Runpod

if TYPE_CHECKING:
    from runpod_emulator.running import Running

ENDPOINT = "runpod-serverless:index:Endpoint"


async def _decrypt(key: str) -> str | None:
    return {"runpod-serverless:apiKey": "rpa_of_the_stack"}.get(key)


def _causes(
    *properties: PropertyDrift,
    workers: Sequence[str] | Exception = (),
    token: str = ENDPOINT,
    is_gone: bool = False,
) -> list[tuple[CauseKind, str]]:
    async def list_workers(account: Account, id: str) -> list[Worker]:
        if isinstance(workers, Exception):
            raise workers
        return [Worker(f"w{index}", status) for index, status in enumerate(workers)]

    drift = ResourceDrift("urn", token, "api", "ep-1", is_gone=is_gone, properties=properties)
    found = asyncio.run(causes_of(drift, Account({}, _decrypt), list_workers))
    return [(cause.kind, cause.text) for cause in found]


def _lowered(to: int, workers: Sequence[str] | Exception = ()) -> str:
    ((kind, text),) = _causes(PropertyDrift("workers.max", 3, to), workers=workers)
    assert kind is CauseKind.WORKERS_LOWERED
    return text


def test_a_resource_that_is_gone_was_deleted_outside() -> None:
    """It is said with the words and the id that one looks for in the console."""
    assert _causes(is_gone=True) == [
        (CauseKind.DELETED, "it was deleted outside of Pulumi: Runpod has no endpoint 'ep-1' any more")
    ]


def test_idleness_is_named_where_the_number_fits() -> None:
    """Runpod leaves two workers after three days and none after seven, and no other number."""
    assert "without a request for 3 days and with one whose" in _lowered(2)
    assert "without a request for 7 days and with one whose" in _lowered(0)
    assert "without a request" not in _lowered(1)
    assert "unhealthy again and again" in _lowered(1)


def test_unhealthy_workers_are_shown_with_what_a_repair_costs() -> None:
    """Who only reads `update` would restart the bill of a crash loop."""
    one = _lowered(1, ["UNHEALTHY"])
    assert "Its only worker is unhealthy now (w0): read the logs before `pulumi up`" in one
    assert "each start is billed" in one
    assert "1 of its 3 workers is unhealthy now (w1)" in _lowered(2, ["IDLE", "UNHEALTHY", "RUNNING"])
    assert "2 of its 2 workers are unhealthy now (w0, w1)" in _lowered(2, ["UNHEALTHY", "UNHEALTHY"])


def test_healthy_workers_or_none_are_said_too() -> None:
    """Then it was idleness, or somebody."""
    assert _lowered(1, ["IDLE"]).endswith("None of its workers is unhealthy now")
    assert _lowered(0).endswith("It has no worker now")


def test_workers_that_cannot_be_listed_are_no_error() -> None:
    """The drift is known without them."""
    assert _lowered(2, WorkersUnknown("no key")).endswith("The workers could not be listed: no key")


def test_a_lowered_minimum_is_the_same_cause() -> None:
    """Runpod lowers it along with the maximum; the maximum's own drift may be missing where it was said low."""
    ((kind, text),) = _causes(PropertyDrift("workers.min", 1, 0))
    assert (kind, "7 days" in text) == (CauseKind.WORKERS_LOWERED, False)


@pytest.mark.parametrize(
    "item",
    [
        PropertyDrift("workers.max", 2, 3),
        PropertyDrift("workers.max", None, 3),
        PropertyDrift("workers.max", SECRET, SECRET, is_secret=True),
        PropertyDrift("idleTimeout", 60, 5),
        PropertyDrift("env.A", "1", "2"),
    ],
)
def test_a_cause_that_is_not_known_is_not_guessed(item: PropertyDrift) -> None:
    """More workers, or values that cannot be seen, are somebody's doing and no pattern of Runpod's."""
    assert _causes(item) == []


def test_variables_added_by_hand_are_named_without_their_values() -> None:
    """Of an endpoint and of its template; one or several."""
    one = PropertyDrift("env.A", None, SECRET, is_secret=True)
    two = PropertyDrift('template.env["B.C"]', None, SECRET, is_secret=True)
    assert _causes(one) == [(CauseKind.ENV_ADDED, "a variable that the program does not know was added by hand: A")]
    assert _causes(one, two)[0][1] == "variables that the program does not know were added by hand: A, B.C"


def test_nothing_is_known_of_other_providers_resources() -> None:
    """Their words are theirs."""
    assert _causes(token="aws:s3:Bucket", is_gone=True) == []


def _workers(account: Account, id: str, environment: dict[str, str]) -> list[Worker]:
    async def list_twice() -> list[Worker]:
        async with Runpod(environment) as runpod:
            await runpod.workers(account, id)
            return await runpod.workers(account, id)

    return asyncio.run(list_twice())


def test_workers_are_listed_with_the_stack_s_own_key(emulator: Running) -> None:
    """The key of the configuration comes before that of the environment, as it does for the provider; so does the address."""
    (id,) = emulator.seed(endpoints=[{"workers": {"min": 1, "max": 1}}])["endpoints"]
    emulator.set(accepted_keys=["rpa_of_the_stack"])
    account = Account({"runpod-serverless:apiKey": "[secret]", "runpod-serverless:baseUrl": emulator.url}, _decrypt)
    (worker,) = _workers(account, id, {"RUNPOD_API_KEY": "rpa_of_another", "RUNPOD_API_URL": "http://127.0.0.1:1"})
    assert worker.status == "INITIALIZING"


@pytest.mark.parametrize("workers", [None, [None], [{"id": "w"}]], ids=str)
def test_an_answer_that_is_no_list_of_workers_is_no_knowledge(emulator: Running, tmp_path: Path, workers: object) -> None:
    """And no failure of the search."""
    (id,) = emulator.seed(endpoints=[{}])["endpoints"]
    emulator.fault("add-fields", method="GET", path="/v2/serverless/*/workers", fields={"workers": workers})
    given = {"RUNPOD_API_KEY": "rpa_of_the_test", "RUNPOD_API_URL": emulator.url, "HOME": str(tmp_path)}
    with pytest.raises(WorkersUnknown, match=r"^Runpod's answer is not a list of workers$"):
        _workers(Account({}, _decrypt), id, given)


def test_workers_are_listed_with_the_environment_s_key(emulator: Running, tmp_path: Path) -> None:
    """As the provider does where the stack says nothing; and what Runpod refuses is told in its words."""
    (id,) = emulator.seed(endpoints=[{"workers": {"min": 0, "max": 1}}])["endpoints"]
    given = {"RUNPOD_API_KEY": "rpa_any", "RUNPOD_API_URL": emulator.url, "HOME": str(tmp_path)}
    assert _workers(Account({}, _decrypt), id, given) == []
    with pytest.raises(WorkersUnknown, match="404"):
        _workers(Account({}, _decrypt), "nobody", given)
    with pytest.raises(WorkersUnknown, match="RUNPOD_API_KEY"):
        _workers(Account({}, _decrypt), id, {"HOME": str(tmp_path)})
