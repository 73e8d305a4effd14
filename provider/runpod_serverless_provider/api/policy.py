"""What may be sent again, and after how long. Pure functions; the client does the sending and the waiting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from ..core.ports import Method

REQUEST_TIMEOUT_SECONDS: Final = 60.0
SETTLE_MARGIN_SECONDS: Final = 5.0
"""How much longer than a request waits for its answer the server may take to carry it out."""
MAX_ATTEMPTS: Final = 5
BASE_DELAY_SECONDS: Final = 0.5
MAX_DELAY_SECONDS: Final = 20.0
PATIENCE_SECONDS: Final = 900.0
"""How long one request is kept waiting by what answers ask for before it fails: an hour's or a day's window is not waited for."""
MIN_RATE_LIMIT_DELAY_SECONDS: Final = 1.0


class Outcome(Enum):
    """How one attempt ended."""

    SUCCESS = "success"
    REFUSED = "refused"
    RATE_LIMITED = "rate limited"
    SERVER_ERROR = "server error"
    """5xx and 408, which do not say whether the request took effect; they may come from a gateway that stands before the API."""
    GARBLED = "garbled"
    """A 2xx whose body cannot be used."""
    NOT_SENT = "not sent"
    """No connection was made, so the server cannot have seen the request."""
    LOST = "lost"
    """The request may have been sent and no complete answer came: time-out, reset, cut off."""


class Verdict(Enum):
    """What a request that is not sent again has come to."""

    ANSWERED = "answered"
    """The API said no, and its last answer says why."""
    UNREACHABLE = "unreachable"
    """No answer came, and nothing was changed."""
    UNKNOWN = "unknown"
    """Something may have been changed."""


def outcome_of(status: int) -> Outcome:
    """Classify a complete answer by its status alone."""
    if 200 <= status < 300:
        return Outcome.SUCCESS
    if status == 429:
        return Outcome.RATE_LIMITED
    return Outcome.SERVER_ERROR if status >= 500 or status == 408 else Outcome.REFUSED


def may_have_had_effect(outcome: Outcome) -> bool:
    """Say whether a request that writes may have been carried out although no usable answer came."""
    return outcome in (Outcome.SERVER_ERROR, Outcome.GARBLED, Outcome.LOST)


def may_retry(method: Method, outcome: Outcome) -> bool:
    """Say whether the request may be sent again: a POST only when it surely had no effect, for it may create a paid resource."""
    if outcome in (Outcome.NOT_SENT, Outcome.RATE_LIMITED):
        return True
    return may_have_had_effect(outcome) and method != "POST"


def verdict(method: Method, outcomes: Sequence[Outcome]) -> Verdict:
    """Say what a request that was refused, or that failed as often as `outcomes` says, has come to.

    PATCH and DELETE say what shall be, so that their last answer, be it a 503, tells more than an earlier doubt.
    """
    last = outcomes[-1]
    if last in (Outcome.REFUSED, Outcome.RATE_LIMITED) or (last is Outcome.SERVER_ERROR and method != "POST"):
        return Verdict.ANSWERED
    if method == "GET":
        return Verdict.ANSWERED if last is Outcome.GARBLED else Verdict.UNREACHABLE
    return Verdict.UNKNOWN if any(map(may_have_had_effect, outcomes)) else Verdict.UNREACHABLE


def is_already_deleted(method: Method, status: int, *, was_maybe_deleted: bool) -> bool:
    """Say whether a 404 is the success of an earlier DELETE whose answer did not arrive."""
    return method == "DELETE" and status == 404 and was_maybe_deleted


def backoff_seconds(attempt: int, random: Callable[[], float]) -> float:
    """Return the delay after the `attempt`-th attempt (from 1): capped exponential with full jitter; `random` gives 0 ≤ x < 1."""
    return random() * min(MAX_DELAY_SECONDS, BASE_DELAY_SECONDS * 2.0 ** min(attempt - 1, 32))


def retry_delay_seconds(attempt: int, retry_after_seconds: float | None, random: Callable[[], float]) -> float:
    """Return the delay before the next attempt: the backoff, or `Retry-After` where that is longer."""
    return max(backoff_seconds(attempt, random), retry_after_seconds or 0.0)


def rate_limit_delay_seconds(
    occurrence: int, retry_after_seconds: float | None, reset_seconds: float | None, random: Callable[[], float]
) -> float:
    """Return the wait after the `occurrence`-th 429 (from 1): `Retry-After`, else the window's reset, else the backoff.

    Never below a second, nor below the backoff: a server that says `Retry-After: 0` for ever must not be hammered.
    """
    named = retry_after_seconds if retry_after_seconds is not None else reset_seconds
    return max(named or 0.0, backoff_seconds(occurrence, random), MIN_RATE_LIMIT_DELAY_SECONDS)


def parse_retry_after(value: str | None, *, date: str | None, wall_clock_seconds: float) -> float | None:
    """Read `Retry-After`, seconds or an HTTP date, as seconds from now; None where it is absent or makes no sense.

    A date counts from the `Date` of the same answer, so that a wrong clock here does no harm; `wall_clock_seconds` serves without one.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])  # longer ones are centuries anyhow, and at last infinite
    until = _parse_date(text)
    if until is None:
        return None
    sent = _parse_date(date or "")
    return max(0.0, until.timestamp() - (sent.timestamp() if sent else wall_clock_seconds))


def is_http_date(value: str) -> bool:
    """Say whether `value` can be read as an HTTP date."""
    return _parse_date(value) is not None


def _parse_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
