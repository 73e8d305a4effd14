"""What may be sent again, after how long, and what it came to: pure functions."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runpod_serverless_provider.api import policy
from runpod_serverless_provider.api.policy import Outcome, Verdict

METHODS = ("GET", "POST", "PATCH", "DELETE")
DATE = "Mon, 01 Jun 2026 12:00:00 GMT"
NOON = 1_780_315_200.0


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [
        (Outcome.SUCCESS, (200, 201, 202, 204, 299)),
        (Outcome.RATE_LIMITED, (429,)),
        (Outcome.SERVER_ERROR, (408, 500, 501, 502, 503, 504, 520, 524, 599)),
        (Outcome.REFUSED, (301, 302, 307, 308, 400, 401, 403, 404, 405, 409, 422)),
    ],
)
def test_a_status_is_classified(outcome, statuses):
    """Every 5xx leaves doubt, whoever sent it."""
    assert {policy.outcome_of(status) for status in statuses} == {outcome}


def test_a_post_is_repeated_only_when_it_surely_had_no_effect():
    """It may create a paid resource."""
    assert {outcome for outcome in Outcome if policy.may_retry("POST", outcome)} == {Outcome.NOT_SENT, Outcome.RATE_LIMITED}


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_the_other_methods_are_repeated_unless_the_api_decided(method):
    """Repeating them changes nothing more."""
    assert {outcome for outcome in Outcome if not policy.may_retry(method, outcome)} == {Outcome.SUCCESS, Outcome.REFUSED}


def test_nothing_that_may_have_had_an_effect_is_called_unreachable():
    """Over all short histories of all methods that write."""
    failed = [outcome for outcome in Outcome if outcome not in (Outcome.SUCCESS, Outcome.RATE_LIMITED)]
    for method, length in itertools.product(("POST", "PATCH", "DELETE"), (1, 2, 3)):
        for history in itertools.product(failed, repeat=length):
            if policy.verdict(method, history) is Verdict.UNREACHABLE:
                assert not any(map(policy.may_have_had_effect, history))


@pytest.mark.parametrize(
    ("method", "history", "verdict"),
    [
        ("GET", (Outcome.LOST,), Verdict.UNREACHABLE),
        ("GET", (Outcome.NOT_SENT,), Verdict.UNREACHABLE),
        ("GET", (Outcome.LOST, Outcome.SERVER_ERROR), Verdict.ANSWERED),
        ("GET", (Outcome.GARBLED,), Verdict.ANSWERED),
        ("GET", (Outcome.REFUSED,), Verdict.ANSWERED),
        ("POST", (Outcome.NOT_SENT, Outcome.NOT_SENT), Verdict.UNREACHABLE),
        ("POST", (Outcome.SERVER_ERROR,), Verdict.UNKNOWN),
        ("POST", (Outcome.GARBLED,), Verdict.UNKNOWN),
        ("POST", (Outcome.LOST,), Verdict.UNKNOWN),
        ("POST", (Outcome.REFUSED,), Verdict.ANSWERED),
        ("PATCH", (Outcome.LOST, Outcome.NOT_SENT), Verdict.UNKNOWN),
        ("PATCH", (Outcome.LOST, Outcome.SERVER_ERROR), Verdict.ANSWERED),
        ("DELETE", (Outcome.NOT_SENT,), Verdict.UNREACHABLE),
    ],
)
def test_the_end_of_a_request_has_a_verdict(method, history, verdict):
    """The last answer speaks, where there is one; earlier doubt stays doubt."""
    assert policy.verdict(method, history) is verdict


def test_a_missing_resource_is_a_delete_that_succeeded_only_after_a_doubtful_one():
    """A first 404 is the caller's to judge."""
    assert policy.is_already_deleted("DELETE", 404, was_maybe_deleted=True)
    assert not policy.is_already_deleted("DELETE", 404, was_maybe_deleted=False)
    assert not policy.is_already_deleted("DELETE", 403, was_maybe_deleted=True)
    assert not any(policy.is_already_deleted(method, 404, was_maybe_deleted=True) for method in ("GET", "POST", "PATCH"))


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_backoff_is_jittered_and_capped(attempt, chance):
    """From nothing to its cap, whatever the attempt."""
    assert 0 <= policy.backoff_seconds(attempt, lambda: chance) <= policy.MAX_DELAY_SECONDS


def test_the_backoff_doubles():
    """0.5, 1, 2, 4 seconds at most."""
    assert [policy.backoff_seconds(attempt, lambda: 1.0) for attempt in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(("retry_after", "delay"), [(None, 0.5), (0.0, 0.5), (7.0, 7.0), (600.0, 600.0)])
def test_a_failing_server_is_given_the_time_it_asks_for(retry_after, delay):
    """The client bounds how long that may be."""
    assert policy.retry_delay_seconds(1, retry_after, lambda: 1.0) == delay


@pytest.mark.parametrize(
    ("occurrence", "retry_after", "reset", "delay"),
    [
        (1, None, None, 1.0),
        (3, None, None, 2.0),
        (1, 12.0, 40, 12.0),
        (1, None, 40, 40),
        (1, 0.0, 40, 1.0),
        (4, 0.0, None, 4.0),
        (1, 3600.0, None, 3600.0),
    ],
)
def test_a_429_is_waited_out_as_the_server_says(occurrence, retry_after, reset, delay):
    """Retry-After before the window's reset, and never less than a growing backoff."""
    assert policy.rate_limit_delay_seconds(occurrence, retry_after, reset, lambda: 1.0) == delay


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, None),
        ("", None, None),
        ("soon", None, None),
        ("-1", None, None),
        ("1.5", None, None),
        ("١٢", None, None),
        ("12", None, 12.0),
        (" 12 ", None, 12.0),
        ("9" * 5000, None, 999999999999.0),
        ("Mon, 01 Jun 2026 12:00:30 GMT", None, 30.0),
        ("Mon, 01 Jun 2026 12:00:30 GMT", "Mon, 01 Jun 2026 12:00:20 GMT", 10.0),
        ("Mon, 01 Jun 2026 12:00:30 GMT", "nonsense", 30.0),
        ("Mon, 01 Jun 2026 11:00:00 GMT", None, 0.0),
        ("Mon, 01 Jun 2026 12:00:30", None, 30.0),
        ("Mon, 32 Jun 2026 12:00:00 GMT", None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value, date, seconds):
    """A date counts from the answer's own `Date`, so that a wrong clock here does no harm."""
    assert policy.parse_retry_after(value, date=date, wall_clock_seconds=NOON) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_and_no_date_crashes(text):
    """They come from outside."""
    seconds = policy.parse_retry_after(text, date=text, wall_clock_seconds=NOON)
    assert seconds is None or seconds >= 0
    assert policy.is_http_date(text) in (True, False)


def test_an_http_date_is_told_from_other_text():
    """RFC 9110's form."""
    assert policy.is_http_date(DATE) and not policy.is_http_date("yesterday") and not policy.is_http_date("")
