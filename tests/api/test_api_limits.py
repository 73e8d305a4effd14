"""The request budget: what the headers say is left, and waiting before the API has to refuse."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.support import Notes, Time, run
from runpod_serverless_provider.api.limits import Budget, Left, Quota, exhausted, parse_rate_limit, parse_rate_limit_policy

POLICY = '"minute";q=60;w=60, "hour";q=3000;w=3600'


def budget_on(time: Time, *, patience_seconds: float = 900.0) -> Budget:
    """Make a budget on the test's clock."""
    return Budget(clock=time.clock, sleep=time.sleep, random=lambda: 0.0, patience_seconds=patience_seconds)


async def acquire(budget: Budget, notes: Notes) -> None:
    """Take a place, however long it takes."""
    await budget.wait(notes)
    while not budget.reserve():
        await budget.wait(notes)


def answered(budget: Budget, rate_limit: str, policy: str = "") -> None:
    """Let a request end with these headers."""
    budget.release({"ratelimit": rate_limit, "ratelimit-policy": policy}, was_sent=True)


def test_the_documents_own_examples_are_read():
    """One member a window."""
    assert parse_rate_limit('"minute";r=0;t=12, "hour";r=2800;t=1812') == (Left("minute", 0, 12), Left("hour", 2800, 1812))
    assert parse_rate_limit_policy(POLICY) == (Quota("minute", 60, 60), Quota("hour", 3000, 3600))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "é",
        '"minute"',
        '"minute";r=1',
        '"minute";r=-1;t=2',
        '"minute";r=1.5;t=2',
        '"minute";r=?1;t=2',
        '"minute";r="1";t=2',
        '("a" "b");r=1;t=2',
        "5;r=1;t=2",
        '"minute";r=1;t=2,',
        '"minute";r=1;t=99999999999999999999',
    ],
)
def test_a_header_without_sense_is_only_a_missed_hint(value):
    """Nothing is learned, nothing breaks."""
    assert parse_rate_limit(value) == ()


def test_members_that_make_sense_are_kept_beside_others():
    """A token names a window as well as a string; a window without a quota grants nothing to plan with."""
    assert parse_rate_limit('"odd";r=x;t=1, minute;r=3;t=4;extra') == (Left("minute", 3, 4),)
    assert parse_rate_limit_policy('"minute";q=0;w=60, "hour";q=5;w=0, "day";q=9;w=9') == (Quota("day", 9, 9),)


@given(st.text(max_size=60))
def test_no_header_crashes(text):
    """They come from outside."""
    parse_rate_limit(text)
    parse_rate_limit_policy(text)


def test_the_exhausted_window_that_lasts_longest_is_named():
    """Waiting for the minute is of no use while the hour is spent."""
    assert exhausted((Left("minute", 0, 12), Left("hour", 0, 900), Left("day", 5, 9000))) == Left("hour", 0, 900)
    assert exhausted((Left("minute", 1, 12),)) is None


def test_nothing_waits_before_anything_is_known():
    """The first answer brings the limits."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        for _ in range(100):
            await acquire(budget, notes)
        return time.slept, notes.lines

    assert run(scenario()) == ([], [])


def test_a_request_waits_for_the_reset_of_a_spent_window_and_says_so():
    """Rather than to run into the 429."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        await acquire(budget, notes)
        answered(budget, '"minute";r=0;t=12, "hour";r=5;t=1812')
        await acquire(budget, notes)
        return time.slept, notes.lines

    assert run(scenario()) == ([12.0], ["waiting 12 s for Runpod's rate limit (minute window)"])


def test_a_request_under_way_counts_as_spent():
    """One is left, and under way: the next waits for the reset, although no answer has said so yet."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        await acquire(budget, notes)
        answered(budget, '"minute";r=1;t=30')
        await acquire(budget, notes)
        assert not time.slept
        await acquire(budget, notes)
        return time.slept

    assert run(scenario()) == [30.0]


def test_a_quarter_of_what_is_left_is_under_way_at_once():
    """Others of the account take theirs, and only answers tell of them; what waits for one waits for no reset."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        await acquire(budget, notes)
        answered(budget, '"minute";r=8;t=30')
        await acquire(budget, notes)
        await acquire(budget, notes)
        assert not budget.reserve()
        third = asyncio.ensure_future(acquire(budget, notes))
        await asyncio.sleep(0.01)
        assert not third.done()
        answered(budget, '"minute";r=7;t=30')
        await third
        return time.slept, notes.lines

    assert run(scenario()) == ([], [])


def test_a_place_that_was_not_used_is_free_again():
    """A connection that failed spent nothing; one that broke may have."""

    async def scenario():
        time = Time()
        budget = budget_on(time)
        await acquire(budget, Notes())
        answered(budget, '"minute";r=1;t=30')
        await acquire(budget, Notes())
        budget.release({}, was_sent=False)
        await acquire(budget, Notes())
        assert not time.slept
        budget.release({}, was_sent=True)
        await acquire(budget, Notes())
        return time.slept

    assert run(scenario()) == [30.0]


def test_answers_that_overtake_each_other_do_not_add_to_what_is_left():
    """The smaller number of the same window is the later one; one of the window before says nothing."""

    async def scenario():
        time = Time()
        budget = budget_on(time)
        for _ in range(4):
            await acquire(budget, Notes())
        answered(budget, '"minute";r=1;t=30')
        answered(budget, '"minute";r=2;t=30')
        answered(budget, '"minute";r=50;t=3')
        answered(budget, '"minute";r=50;t=3')
        await acquire(budget, Notes())
        await acquire(budget, Notes())
        return time.slept

    assert run(scenario()) == [30.0]


def test_a_new_window_replaces_the_old_one():
    """Its reset lies later."""

    async def scenario():
        time = Time()
        budget = budget_on(time)
        await acquire(budget, Notes())
        await acquire(budget, Notes())
        answered(budget, '"minute";r=0;t=2')
        answered(budget, '"minute";r=9;t=60')
        await acquire(budget, Notes())
        return time.slept

    assert run(scenario()) == []


def test_after_the_reset_the_policy_says_how_many_may_pass_at_once():
    """Two hundred that waited do not all rush into a window of sixty."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        await acquire(budget, notes)
        answered(budget, '"minute";r=0;t=10', '"minute";q=60;w=60')
        passed: list[float] = []

        async def one():
            await acquire(budget, notes)
            passed.append(time.now - 1000.0)
            await asyncio.sleep(0)
            budget.release({}, was_sent=True)

        await asyncio.gather(*(one() for _ in range(130)))
        return passed

    passed = run(scenario())
    assert [len([at for at in passed if begin <= at < begin + 60]) for begin in (10, 70, 130)] == [60, 60, 10]


def test_a_window_without_a_policy_is_forgotten_at_its_reset():
    """The next answer says more."""

    async def scenario():
        time = Time()
        budget = budget_on(time)
        await acquire(budget, Notes())
        answered(budget, '"minute";r=0;t=10')
        for _ in range(5):
            await acquire(budget, Notes())
        return time.slept

    assert run(scenario()) == [10.0]


def test_a_window_that_resets_too_late_is_not_waited_for():
    """There the API itself has to answer."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time, patience_seconds=900)
        await acquire(budget, notes)
        answered(budget, '"minute";r=0;t=20, "hour";r=0;t=1800')
        await acquire(budget, notes)
        await acquire(budget, notes)
        return notes.lines

    assert run(scenario()) == ["waiting 20 s for Runpod's rate limit (minute window)"]


def test_a_block_holds_everybody():
    """The longest one counts, and it ends."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        budget.block(5)
        budget.block(9, "hour")
        budget.block(3, "hour")
        await acquire(budget, notes)
        await acquire(budget, notes)
        return time.slept, notes.lines

    assert run(scenario()) == ([9.0], ["waiting 9 s for Runpod's rate limit (hour window)"])


def test_after_a_block_two_go_ahead_and_the_rest_follows_who_passes():
    """The limit may last longer than the API said, and each that finds that out is one request too many."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        taken = [budget.reserve() for _ in range(3)]
        budget.block(5)
        budget.passed()  # an answer to what had been sent before
        for _ in range(3):
            budget.release({}, was_sent=True)
        await time.sleep(5)
        scouts = [budget.reserve() for _ in range(3)]
        waiting = asyncio.ensure_future(acquire(budget, notes))
        await asyncio.sleep(0.01)
        was_waiting = not waiting.done()
        budget.passed()
        budget.release({}, was_sent=True)
        await waiting
        return taken, scouts, was_waiting, [budget.reserve() for _ in range(10)]

    taken, scouts, was_waiting, rest = run(scenario())
    assert taken == [True] * 3 and scouts == [True, True, False]
    assert was_waiting and rest == [True] * 10


def test_those_who_wait_together_come_back_spread_out():
    """Within a part of the wait."""

    async def scenario():
        time, chances = Time(), iter([0.25, 0.75])
        budget = Budget(clock=time.clock, sleep=time.sleep, random=lambda: next(chances), patience_seconds=900)
        budget.block(4)
        await asyncio.gather(acquire(budget, Notes()), acquire(budget, Notes()))
        return time.slept

    assert run(scenario()) == [4.0625, 4.1875]


def test_the_end_of_a_window_is_known_ever_better():
    """Each answer counts whole seconds, rounded up; the one that was sent just after a full second tells best."""

    async def scenario():
        time, notes = Time(), Notes()
        budget = budget_on(time)
        for moment, said, left in ((0.0, 6, 4), (0.9, 6, 3), (1.1, 5, 2), (1.9, 4, 1), (1.9, 4, 0)):
            await acquire(budget, notes)
            time.now = 1000.0 + moment
            answered(budget, f'"minute";r={left};t={said}')
        await acquire(budget, notes)
        return time.slept

    assert run(scenario()) == [pytest.approx(4.0)]
