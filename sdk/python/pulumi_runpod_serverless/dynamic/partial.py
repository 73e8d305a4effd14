"""Tells the engine of a resource that exists although its creation or its update did not finish.

`pulumi.dynamic` has no way to say that: what a provider raises becomes the text of a failure, after which the engine has lost what
was created, and keeps the old outputs of what was updated. The engine itself takes the resource from the details of the failure, as it
does from a native plugin. They are set on the RPC, which the servicer of dynamic providers has in its frame; where it cannot be found,
the caller has to do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from runpod_serverless_provider.details import DETAILS_KEY, pack_status, packed

from .frames import in_callers


def tell(id: str, outputs: Mapping[str, Any], reasons: Iterable[str], text: str, inputs: Mapping[str, Any] | None = None) -> bool:
    """Let the failure that is raised next keep the resource `id` with encoded `outputs`; False where that cannot be said.

    `inputs` are those that a refresh found, None where they stay as they are.
    """
    context = _context()
    if context is None:
        return False
    failed = provider_pb2.ErrorResourceInitFailed(id=id, reasons=reasons, properties=ParseDict(dict(outputs), Struct()))
    if inputs is not None:
        failed.inputs.CopyFrom(ParseDict(dict(inputs), Struct()))
    context.set_trailing_metadata(((DETAILS_KEY, pack_status(grpc.StatusCode.UNKNOWN, text, packed(failed))),))
    return True


def _context() -> Any:
    """Find the RPC that this thread answers."""
    return in_callers("context", lambda found: callable(getattr(found, "set_trailing_metadata", None)))
