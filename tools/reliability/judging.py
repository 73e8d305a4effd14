"""What every answer of the service must be: readable, typed, and without a secret in clear. Says what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from runpod_serverless_provider.core.values import contains_unknown, parse_pattern
from runpod_serverless_provider.plugin.wire import Malformed, decode
from runpod_serverless_provider.proto import Struct, provider_pb2
from runpod_serverless_provider.signatures import OUTPUT_VALUE, SECRET, SIGNATURE_KEY

from .canaries import ENV_VALUE, PASSWORD, found_in
from .inprocess import Failed

TYPED: Final = frozenset(
    "INVALID_ARGUMENT FAILED_PRECONDITION UNIMPLEMENTED NOT_FOUND UNAVAILABLE UNAUTHENTICATED PERMISSION_DENIED RESOURCE_EXHAUSTED".split()
)
"""Codes that say whose move it is. UNKNOWN and INTERNAL make the CLI call the state corrupt."""
_CANARY: Final = re.compile("|".join(f"{re.escape(secret)}#[0-9]+" for secret in (ENV_VALUE, PASSWORD)))
_KINDS: Final = provider_pb2.PropertyDiff
REPLACING: Final = frozenset({_KINDS.ADD_REPLACE, _KINDS.DELETE_REPLACE, _KINDS.UPDATE_REPLACE})


def kept_of(failed: Failed) -> provider_pb2.ErrorResourceInitFailed | None:
    """Give what the engine keeps of a resource whose creation did not finish, read by googleapis' own message."""
    from google.rpc import status_pb2  # type: ignore[import-untyped]

    if failed.details is None:
        return None
    status = status_pb2.Status.FromString(failed.details)
    kept = provider_pb2.ErrorResourceInitFailed()
    return kept if any(detail.Unpack(kept) for detail in status.details) else None


def wrong_failure(failed: Failed, request: Any) -> Iterator[str]:
    """Say what is wrong with how an RPC failed."""
    if failed.code.name == "UNKNOWN":
        kept = kept_of(failed)
        if kept is None or not kept.id or not kept.reasons:
            yield f"UNKNOWN without the id that is to be kept: {failed.text}"
        else:
            yield from wrong_reply(kept, request)
    elif failed.code.name not in TYPED:
        yield f"{failed.code.name}: {failed.text}"
    if not failed.text.strip():
        yield f"{failed.code.name} without a word"
    text = failed.text
    for shown in canaries_of(request) - told_as_secret(_without_prior_outputs(request)):
        text = text.replace(shown, "")  # prior outputs are as secret as the inputs beside them say
    yield from (f"a secret in an error: {hit}" for hit in found_in(text))


def wrong_reply(reply: Any, request: Any, *, may_be_unknown: bool = False) -> Iterator[str]:
    """Say what is wrong with an answer. What no request marks as a secret, such as a name that somebody else gave, is none here."""
    for name, struct in _structs(reply):
        try:
            values, _ = decode(struct)
        except Malformed as problem:
            yield f"{name} cannot be read: {problem}"
            continue
        if not may_be_unknown and contains_unknown(values):
            yield f"{name} holds unknowns, although this is no preview"
    clear = "\n".join(text for text, is_secret in texts_of(reply) if not is_secret)
    yield from (f"a secret in clear, {text!r}" for text in sorted(told_as_secret(_without_prior_outputs(request))) if text in clear)
    if isinstance(reply, provider_pb2.DiffResponse):
        yield from wrong_plan(reply)
    if isinstance(reply, provider_pb2.CheckResponse):
        yield from ("a check failure without a reason" for failure in reply.failures if not failure.reason.strip())


def _prior_outputs(request: Any) -> Struct:
    """Give what a request holds of outputs, which are secret as a whole for the sake of a part that the inputs beside them name."""
    is_prior = isinstance(request, provider_pb2.ReadRequest | provider_pb2.DeleteRequest)
    is_changed = isinstance(request, provider_pb2.DiffRequest | provider_pb2.UpdateRequest)
    found: Struct = request.properties if is_prior else request.olds if is_changed else Struct()
    return found


def _without_prior_outputs(request: Any) -> Any:
    left = type(request)()
    left.CopyFrom(request)
    _prior_outputs(left).Clear()
    return left


def wrong_plan(plan: provider_pb2.DiffResponse) -> Iterator[str]:
    """Say which of the engine's assumptions about a plan do not hold."""
    if plan.changes not in (plan.DIFF_NONE, plan.DIFF_SOME):
        yield "the plan does not say whether there is a change"
    if (plan.changes == plan.DIFF_SOME) != bool(plan.diffs) or bool(plan.diffs) != bool(plan.detailedDiff):
        yield "the plan and its details disagree on whether there is a change"
    if not plan.hasDetailedDiff:
        yield "the plan has no details"
    tops = {path: parse_pattern(path)[:1] for path in plan.detailedDiff}
    replacing = {str(tops[path][0]) for path, entry in plan.detailedDiff.items() if entry.kind in REPLACING}
    if {str(top[0]) for top in tops.values() if top} != set(plan.diffs):
        yield f"the paths {sorted(tops)} are not those of the properties {sorted(plan.diffs)}"
    if replacing != set(plan.replaces):
        yield f"replaces {sorted(plan.replaces)}, but in detail {sorted(replacing)}"
    if plan.replaces and plan.stables:
        yield "a replacement leaves nothing stable"


def _structs(message: Any, name: str = "") -> Iterator[tuple[str, Struct]]:
    if isinstance(message, Struct):
        yield name, message
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for item in [value] if hasattr(value, "ListFields") else value:
            yield from _structs(item, f"{name}.{field.name}".lstrip("."))


def texts_of(message: Any, *, is_secret: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each text of a message, keys included, and whether it is marked as secret."""
    if isinstance(message, str):
        yield message, is_secret
    elif isinstance(message, Struct):
        fields = message.fields
        mark = fields[SIGNATURE_KEY].string_value if SIGNATURE_KEY in fields else ""
        is_hidden = is_secret or mark == SECRET or (mark == OUTPUT_VALUE and "secret" in fields and fields["secret"].bool_value)
        for key, value in fields.items():
            yield key, is_hidden
            yield from texts_of(value, is_secret=is_hidden)
    elif hasattr(message, "ListFields"):
        for _, value in message.ListFields():
            yield from texts_of(value, is_secret=is_secret)
    elif isinstance(message, Mapping):
        for key, value in message.items():
            yield from (*texts_of(key), *texts_of(value))
    elif hasattr(message, "__iter__") and not isinstance(message, bytes):
        for value in message:
            yield from texts_of(value, is_secret=is_secret)


def canaries_of(request: Any) -> set[str]:
    """Give all canaries of a request, be they marked as secret or not."""
    return {found for text, _ in texts_of(request) for found in _CANARY.findall(text)}


def told_as_secret(request: Any) -> set[str]:
    """Give the canaries that a request marks as secret and holds nowhere in clear."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for text, is_secret in texts_of(request):
        found[is_secret].update(_CANARY.findall(text))
    return found[True] - found[False]
