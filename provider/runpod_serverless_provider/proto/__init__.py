"""The protobuf messages and gRPC stubs of Pulumi, gathered so that their origin (the `pulumi` wheel) is named once.

To import `pulumi` takes some 80 ms, and each operation of the CLI starts several plugin processes. Of the whole wheel they need these
generated modules only, which import nothing but each other; so this package finds them where the wheel has put them, by its own
`__path__`. A process that imports `pulumi` as well has the same message classes by both names: protobuf makes one class of a descriptor.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.internal import api_implementation
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

if TYPE_CHECKING:
    from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc
else:
    _pulumi = find_spec("pulumi")
    if _pulumi is None:
        raise ModuleNotFoundError("No module named 'pulumi'", name="pulumi")
    __path__ += [str(Path(location, "runtime", "proto")) for location in _pulumi.submodule_search_locations]
    from . import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

_in_c = getattr(api_implementation, "_c_module", None)
if _in_c is not None:
    # Protobuf's own bounds, 100 levels and 64 MB: a request beyond them could not even be refused. `pulumi` lifts them, too.
    _in_c.SetAllowOversizeProtos(True)

__all__ = [
    "NULL_VALUE",
    "AnyMessage",
    "Empty",
    "ListValue",
    "Struct",
    "Value",
    "engine_pb2",
    "engine_pb2_grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
]
