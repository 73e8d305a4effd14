"""The budget of retries: bounded in an outage, and out of the way where requests succeed."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from api.support import Script, Time, answer, client_of, run
from runpod_serverless_provider.api.retries import CAPACITY, RETRY_COST, Retries
from runpod_serverless_provider.core.failures import ProviderFailure

MOST = CAPACITY // RETRY_COST
LOST = httpx.ReadError("reset by peer")


def spent(budget):
    """Count how many retries are left, by taking them."""
    return next(count for count in range(10**6) if not budget.take())


def test_so_many_fail_in_vain_and_no_more():
    """A hundred, for a process that never succeeds."""
    assert spent(Retries()) == MOST == 100


def test_a_retry_that_succeeds_costs_nothing():
    """However often that happens."""
    budget = Retries()
    for _ in range(10 * MOST):
        assert budget.take()
        budget.succeeded(is_retry=True)
    assert spent(budget) == MOST


def test_requests_that_succeed_at_once_fill_the_budget_slowly_and_never_beyond():
    """Five of them pay for one retry."""
    budget = Retries()
    assert spent(budget) == MOST
    for _ in range(RETRY_COST):
        budget.succeeded(is_retry=False)
    assert spent(budget) == 1
    for _ in range(10 * CAPACITY):
        budget.succeeded(is_retry=False)
    assert spent(budget) == MOST


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("reply", [LOST, answer(503, {"detail": "out of order"}), httpx.ConnectError("refused")])
def test_an_outage_sees_each_request_once_and_a_hundred_retries(method, reply):
    """Two hundred requests at once are not made a thousand, and what fails without a retry says why."""

    async def scenario():
        server = Script(reply)
        client = client_of(server, Time())
        asked = (client.request(method, "/serverless/x", body={"a": 1} if method == "PATCH" else None) for _ in range(200))
        problems = await asyncio.gather(*asked, return_exceptions=True)
        return len(server.requests), problems

    requests, problems = run(scenario())
    assert requests == 200 + MOST
    assert all(isinstance(problem, ProviderFailure) for problem in problems)
    remarks = [str(problem) for problem in problems if "not tried again, as too many requests" in str(problem)]
    assert len(remarks) >= 100
    assert all("reset by peer" in text or "out of order" in text or "refused" in text for text in remarks)


def test_rate_limits_take_nothing_from_the_budget():
    """The API says itself when it wants to be asked again, so that no update fails for it."""

    async def scenario():
        server = Script(*[answer(429, retry_after="1")] * (2 * MOST), answer(200, {"id": "x"}))
        return await client_of(server, Time(), patience_seconds=10_000).request("GET", "/serverless/x")

    assert run(scenario()) == {"id": "x"}
