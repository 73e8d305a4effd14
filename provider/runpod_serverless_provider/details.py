"""Details of a gRPC status, by which the engine learns more of a failure than its text; for both doors."""

from __future__ import annotations

from typing import Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailing metadata in which gRPC carries details."""


def packed(message: Message) -> AnyMessage:
    """Put a message where any kind may stand."""
    found = AnyMessage()
    found.Pack(message)
    return found


def pack_status(code: grpc.StatusCode, message: str, detail: AnyMessage) -> bytes:
    """Write a `google.rpc.Status`.

    By hand, because Pulumi and googleapis-common-protos both ship that message under other file names, and a process that loads both
    dies of a duplicate symbol.
    """
    number: int = code.value[0]
    text = message.encode("utf-8", "replace")
    written: bytes = detail.SerializeToString()
    return b"\x08" + _varint(number) + b"\x12" + _varint(len(text)) + text + b"\x1a" + _varint(len(written)) + written


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
