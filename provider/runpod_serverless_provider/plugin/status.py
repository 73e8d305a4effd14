"""Which gRPC status each failure becomes. UNKNOWN and INTERNAL make the CLI call the state corrupt, so known failures avoid them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from ..configuration import MISSING_KEY_HELP, MISSING_KEY_NAME, MissingKey
from ..core.failures import (
    ApiProblem,
    ApiUnreachable,
    CheckFailed,
    CreatedButFailed,
    NotConfigured,
    NotFound,
    OutcomeUnknown,
    ProviderFailure,
    Refused,
    worded,
)
from ..details import DETAILS_KEY, pack_status, packed
from ..proto import AnyMessage, provider_pb2
from .wire import Malformed

_MESSAGE_LIMIT: Final = 8000


class Unsupported(Exception):
    """The engine asks for something that this provider does not offer."""


class Stopping(Exception):
    """The process is about to end and takes on no more work."""


class NotOffered(Exception):
    """The engine names something, such as a function, that this provider does not have."""


@dataclass(frozen=True)
class Status:
    """What an RPC is aborted with."""

    code: grpc.StatusCode
    message: str
    details: bytes | None = None

    @property
    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """The metadata in which gRPC carries details."""
        return ((DETAILS_KEY, self.details),) if self.details is not None else ()


def translate(problem: Exception, subject: str) -> Status:
    """Word `problem`, met while working on `subject`. Secrets are not removed here; `CreatedButFailed` is the server's own."""
    code, text = _code(problem), _text(problem)
    details = pack_status(code, text, missing_key_details()) if isinstance(problem, MissingKey) else None
    colon = ":" if text.startswith("\n") else ": "  # before a list
    message = f"{subject}{colon}{text}" if subject and details is None else text
    return Status(code, shorten(message), details)


def _code(problem: Exception) -> grpc.StatusCode:
    known: Sequence[tuple[type[Exception], grpc.StatusCode]] = (
        (Malformed, grpc.StatusCode.INVALID_ARGUMENT),
        (NotOffered, grpc.StatusCode.INVALID_ARGUMENT),
        (Unsupported, grpc.StatusCode.UNIMPLEMENTED),
        (Stopping, grpc.StatusCode.UNAVAILABLE),
        (MissingKey, grpc.StatusCode.INVALID_ARGUMENT),
        (CheckFailed, grpc.StatusCode.INVALID_ARGUMENT),
        (Refused, grpc.StatusCode.FAILED_PRECONDITION),
        (NotFound, grpc.StatusCode.NOT_FOUND),
        (NotConfigured, grpc.StatusCode.FAILED_PRECONDITION),
        (ApiUnreachable, grpc.StatusCode.UNAVAILABLE),
        (OutcomeUnknown, grpc.StatusCode.UNAVAILABLE),
        (CreatedButFailed, grpc.StatusCode.UNKNOWN),
    )
    if isinstance(problem, ApiProblem):
        return _api_code(problem.status)
    for kind, code in known:
        if isinstance(problem, kind):
            return code
    return grpc.StatusCode.FAILED_PRECONDITION if isinstance(problem, ProviderFailure) else grpc.StatusCode.INTERNAL


def _api_code(status: int) -> grpc.StatusCode:
    if status >= 500:
        return grpc.StatusCode.UNAVAILABLE
    return {
        401: grpc.StatusCode.UNAUTHENTICATED,
        403: grpc.StatusCode.PERMISSION_DENIED,
        404: grpc.StatusCode.NOT_FOUND,
        429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    }.get(status, grpc.StatusCode.FAILED_PRECONDITION)


def _text(problem: Exception) -> str:
    if isinstance(problem, Malformed | Unsupported | Stopping | NotOffered):
        return str(problem) or type(problem).__name__
    return worded(problem)


def shorten(message: str) -> str:
    """Keep a message within what a gRPC header carries safely."""
    return message if len(message) <= _MESSAGE_LIMIT else message[: _MESSAGE_LIMIT - 2] + " …"


def missing_key_details() -> AnyMessage:
    """Give the details from which the CLI words its hint about a missing key."""
    keys = provider_pb2.ConfigureErrorMissingKeys
    return packed(keys(missingKeys=[keys.MissingKey(name=MISSING_KEY_NAME, description=MISSING_KEY_HELP)]))
