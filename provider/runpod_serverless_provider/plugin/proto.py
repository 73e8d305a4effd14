"""The protobuf messages and gRPC stubs this door speaks, gathered so that their origin (the `pulumi` wheel) is named once.

The plain import costs about 0.17 s. Loading the stubs past `pulumi/__init__` would save 0.1 s, but would leave a hollow `pulumi` in
`sys.modules` for whatever imports it later in the process.
"""

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

__all__ = [
    "NULL_VALUE",
    "AnyMessage",
    "Empty",
    "ListValue",
    "Struct",
    "Value",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
]
