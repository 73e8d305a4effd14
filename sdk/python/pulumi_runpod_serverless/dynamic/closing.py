"""Sees how the engine closes the process: `pulumi.dynamic` takes its Cancel and tells no provider.

Nothing public leads to the server either. But while it calls a provider its servicer is in the frames, and the table that names the
servicer's methods is found by the name of the RPC. Where a Pulumi to come hides them, Cancels are not seen.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from .frames import in_callers

_CANCEL: Final = "/pulumirpc.ResourceProvider/Cancel"


def heed_cancel(told: Callable[[], None]) -> bool:
    """Call `told` on each Cancel from now on, in the thread that answers it; False where it is not to be had.

    To be called while the servicer answers an RPC.
    """
    servicer = _servicer()
    if servicer is None:
        return False
    is_found = False
    for table in gc.get_objects():
        handler: Any = table.get(_CANCEL) if type(table) is dict else None
        answer: Any = getattr(handler, "unary_unary", None)
        if getattr(answer, "__self__", None) is servicer:
            table[_CANCEL] = grpc.unary_unary_rpc_method_handler(
                _first(told, answer),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
            is_found = True
    return is_found


def _first(told: Callable[[], None], answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def cancel(request: Any, context: Any) -> Any:
        told()
        return answer(request, context)

    return cancel


def _servicer() -> Any:
    """Find whoever answers the RPC of this thread."""
    return in_callers("self", lambda found: isinstance(found, provider_pb2_grpc.ResourceProviderServicer))


class InPlace(ThreadPoolExecutor):
    """Does at once what it is given: an interpreter that ends begins no work in threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as problem:  # noqa: BLE001 - whoever asks for the result gets it
            done.set_exception(problem)
        return done
