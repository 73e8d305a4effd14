"""Draws requests of the service by chance: mostly nearly right, so that deep code is reached, and with every marker at every depth.

The chance is a `random.Random`, be it seeded or hypothesis's own, which shrinks what it drew. Secrets that are drawn are canaries, and a
canary is drawn nowhere else.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runpod_serverless_provider import signatures
from runpod_serverless_provider.core.settings import CONFIGURATION
from runpod_serverless_provider.proto import NULL_VALUE, Empty, Struct, Value, plugin_pb2, provider_pb2
from runpod_serverless_provider.resources import FUNCTIONS, RESOURCES

from .canaries import API_KEY, ENV_VALUE, PASSWORD
from .programs import PROGRAMS, Ref

P: Final = provider_pb2
MARKERS: Final = (
    signatures.SECRET,
    signatures.ASSET,
    signatures.ARCHIVE,
    signatures.RESOURCE_REFERENCE,
    signatures.OUTPUT_VALUE,
    signatures.BYTE_STRING,
)
SIGNATURES: Final = (*MARKERS, "unheard-of", "")
KEYS: Final = ("value", "secret", "urn", "id", "dependencies", "env", "workers", "__defaults", "", "a.b", 'q"', "back\\", "ünï")
KINDS: Final = ("null", "bool", "number", "string", "string", "list", "struct", "struct", "none")
STRINGS: Final = ("", "x", "5", "true", "\x00\x1b", "\U0001f680", '"json"', "[1]", "x" * 300, *sorted(signatures.UNKNOWN_SENTINELS))
NUMBERS: Final = (0.0, -1.0, 0.5, 5.0, 1e300, 5e-324, 2.0**53 + 2, -0.0, float("nan"), float("inf"), float("-inf"))
SECRETS: Final = (ENV_VALUE, PASSWORD)
IDS: Final = ("", "nowhere", "../up", "a/b", "a?b=c", "%2e%2e", "ünï", "x" * 3000, "workers", "delegations")
TOKENS: Final = tuple(resource.token for resource in RESOURCES)
FUNCTION_TOKENS: Final = tuple(function.token for function in FUNCTIONS)
ARGUMENTS: Final = {
    "id": ("seeded0", "nowhere", ""),
    "endpointId": ("seeded0", "nowhere"),
    "name": ("cache", "chat"),
    "namePrefix": ("c", ""),
    "pool": ("ADA_24", "NONE"),
    "datacenter": ("EU-RO-1", "eu_ro_1", "MOON-1"),
    "gpuCount": (1, 8, 0),
    "vcpuCount": (2, 3),
    "minCudaVersion": ("12.8", "12"),
    "onlyAvailable": (True, False),
    "region": ("EUROPE",),
    "networkVolumeType": ("STANDARD", "FAST"),
    "gpuType": ("NVIDIA L4",),
    "cpuFlavor": ("cpu3c",),
    "source": ("official", "community", "mine"),
    "serverless": (True, False),
}
SETTINGS: Final[Mapping[str, tuple[Any, ...]]] = {
    **{
        item.name: ("x", "http://127.0.0.1:1", "https://example.test/v2", "replace", "inPlace", "US-KS-2", "")
        for item in CONFIGURATION
    },
    "apiKey": (API_KEY,),
    "version": ("0.0.1", "9.9.9", "no version"),
}
RPCS: Final = (
    *("Check", "Diff", "Create", "Update", "Read") * 6,
    *("Delete", "Invoke", "List") * 3,
    *("CheckConfig", "DiffConfig", "Configure") * 2,
    *"GetSchema GetMapping GetMappings Parameterize Construct Call Handshake Attach GetPluginInfo Cancel".split(),
)
"""All calls of the service; those that decode and decide most come most often."""


@dataclass
class Known:
    """What a kind's earlier answers gave: states (id, inputs, outputs), and checked inputs."""

    states: list[tuple[str, Struct, Struct]] = field(default_factory=list)
    checked: list[Struct] = field(default_factory=list)


class Dice:
    """Draws messages. `learn` lets answers come back as states, so that later requests are about what exists."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.known = {token: Known() for token in TOKENS}
        self._secrecy = 0
        self._serial = 0

    def is_hit(self, share: float) -> bool:
        """Say yes in this share of all cases."""
        return self.chance.random() < share

    # -- any value

    def string(self) -> str:
        """Draw a string, which within a secret may be a canary."""
        if not (self._secrecy and self.is_hit(0.7)):
            return self.chance.choice(STRINGS)
        self._serial += 1  # each is another one, so that it is known where it came from
        return f"{self.chance.choice(SECRETS)}#{self._serial}"

    def value(self, depth: int) -> Value:
        """Draw any value, markers and sentinels included."""
        kind = self.chance.choice(KINDS if depth > 0 else ("string", "number"))
        if kind == "null":
            return Value(null_value=NULL_VALUE)
        if kind == "bool":
            return Value(bool_value=self.is_hit(0.5))
        if kind == "number":
            return Value(number_value=self.chance.choice(NUMBERS[:-3] if self.is_hit(0.95) else NUMBERS))
        if kind == "string":
            return Value(string_value=self.string())
        value = Value()
        if kind == "list":
            value.list_value.values.extend(self.value(depth - 1) for _ in range(self.chance.randrange(4)))
            value.list_value.SetInParent()
        elif kind == "struct":
            value.struct_value.CopyFrom(self.struct(depth - 1))
        elif self.is_hit(0.9):
            value.null_value = NULL_VALUE
        return value

    def struct(self, depth: int) -> Struct:
        """Draw a struct; a third of them are marked as something else, at times wrongly."""
        if self.is_hit(0.33):
            return self.marked(self.chance.choice(MARKERS if self.is_hit(0.95) else SIGNATURES), lambda: self.value(depth))
        struct = Struct()
        for _ in range(self.chance.randrange(4)):
            struct.fields[self.chance.choice(KEYS)].CopyFrom(self.value(depth))
        if self.is_hit(0.01):
            struct.fields[signatures.SIGNATURE_KEY].CopyFrom(self.value(1))
        return struct

    def marked(self, signature: str, content: Callable[[], Value]) -> Struct:
        """Mark a value; one that may be a secret is drawn as one."""
        struct = Struct()
        struct.fields[signatures.SIGNATURE_KEY].string_value = signature
        is_secret = signature == signatures.SECRET or (signature == signatures.OUTPUT_VALUE and self.is_hit(0.5))
        if signature == signatures.OUTPUT_VALUE and is_secret:
            struct.fields["secret"].bool_value = True
        self._secrecy += is_secret
        if self.is_hit(0.97):
            struct.fields["value"].CopyFrom(content())
        if signature == signatures.RESOURCE_REFERENCE or self.is_hit(0.1):
            struct.fields["id"].CopyFrom(content() if self.is_hit(0.8) else self.value(1))
            struct.fields["urn"].CopyFrom(self.value(0))
        self._secrecy -= is_secret
        return struct

    def deep(self) -> Value:
        """Draw a value that lies about as deep as is taken, or deeper."""
        nested = self.value(0)
        for _ in range(self.chance.choice((20, 60, 150, 250))):
            outer = Value()
            if self.is_hit(0.5):
                outer.struct_value.fields["a"].CopyFrom(nested)
            else:
                outer.list_value.values.append(nested)
            nested = outer
        return nested

    # -- nearly right properties

    def written(self, plain: Any) -> Value:
        """Write a plain value as it travels, with markers by chance on every level."""
        if isinstance(plain, Ref):
            return Value(string_value=self.identifier(f"runpod-serverless:index:{plain.kind}"))
        if isinstance(plain, Mapping) and signatures.SIGNATURE_KEY in plain:
            return Value(struct_value=self.marked(signatures.SECRET, lambda: self.written(plain["value"])))
        if self.is_hit(0.08):
            return Value(struct_value=self.marked(self.chance.choice(MARKERS), lambda: self._plainly_written(plain)))
        if self.is_hit(0.03):
            return Value(string_value=self.chance.choice(sorted(signatures.UNKNOWN_SENTINELS)))
        return self._plainly_written(plain)

    def _plainly_written(self, plain: Any) -> Value:
        value = Value()
        if isinstance(plain, Ref):
            value.string_value = self.identifier(f"runpod-serverless:index:{plain.kind}")
        elif plain is None:
            value.null_value = NULL_VALUE
        elif isinstance(plain, bool):
            value.bool_value = plain
        elif isinstance(plain, int | float):
            value.number_value = plain
        elif isinstance(plain, str):
            is_canary = plain.startswith((*SECRETS, API_KEY))
            value.string_value = self.string() if is_canary or (self._secrecy and self.is_hit(0.5)) else plain
        elif isinstance(plain, Mapping):
            value.struct_value.SetInParent()
            for key, item in plain.items():
                outside, self._secrecy = self._secrecy, 0 if key == "key" else self._secrecy  # a name is as plain as a map's keys
                value.struct_value.fields[key].CopyFrom(self.written(item))
                self._secrecy = outside
        else:
            value.list_value.SetInParent()
            value.list_value.values.extend(self.written(item) for item in plain)
        return value

    def properties(self, choices: Mapping[str, tuple[Any, ...]], *, most: int = 6) -> Struct:
        """Draw properties: most from these choices, some with another property's value, and some that make no sense."""
        struct = Struct()
        names = sorted(choices)
        for _ in range(self.chance.randrange(most + 1)):
            name = self.chance.choice(names)
            struct.fields[name].CopyFrom(self.either(name, choices))
        if self.is_hit(0.05):
            struct.fields[self.chance.choice(KEYS)].CopyFrom(self.value(3))
        if self.is_hit(0.01):
            struct.fields[self.chance.choice(names)].CopyFrom(self.deep())
        return self.struct(4) if self.is_hit(0.01) else struct

    def either(self, name: str, choices: Mapping[str, tuple[Any, ...]]) -> Value:
        """Draw a value of a property: a right one, one that would be right elsewhere, or anything."""
        if self.is_hit(0.85):
            return self.written(self.chance.choice(choices[name]))
        return self.value(3) if self.is_hit(0.5) else self.written(self.chance.choice(choices[self.chance.choice(sorted(choices))]))

    # -- what is about resources

    def kind(self) -> str:
        """Draw a resource type."""
        return self.chance.choice((*TOKENS, TOKENS[0]))

    def urn(self, token: str) -> str:
        """Draw a URN; a few name another type, or are none."""
        return (
            f"urn:pulumi:dev::shop::{token if self.is_hit(0.98) else self.string()}::{self.name()}"
            if self.is_hit(0.98)
            else self.string()
        )

    def name(self) -> str:
        """Draw a resource's name."""
        return self.chance.choice(("llm", "cache", "a b", "ünï", "", "x" * 300))

    def identifier(self, token: str) -> str:
        """Draw an id, mostly of something that exists."""
        known = self.known[token].states if token in self.known else []
        return self.chance.choice(known)[0] if known and self.is_hit(0.8) else self.chance.choice(IDS)

    def inputs(self, token: str) -> Struct:
        """Draw what a program says of a resource."""
        return self.properties(PROGRAMS[token.rpartition(":")[2]])

    def checked(self, token: str) -> Struct:
        """Draw inputs, mostly such as a Check has returned."""
        known = self.known[token].checked
        return self.altered(self.chance.choice(known), token) if known and self.is_hit(0.7) else self.inputs(token)

    def state(self, token: str) -> tuple[str, Struct, Struct]:
        """Draw a prior state, mostly of something that exists."""
        known = self.known[token].states
        if known and self.is_hit(0.8):
            id, inputs, outputs = self.chance.choice(known)
            return id, self.altered(inputs, token), self.altered(outputs, token)
        return self.identifier(token), self.inputs(token), self.inputs(token)

    def altered(self, struct: Struct, token: str) -> Struct:
        """Change a part of properties, or none."""
        if self.is_hit(0.5):
            return struct
        altered = Struct()
        altered.CopyFrom(struct)
        choices = PROGRAMS[token.rpartition(":")[2]]
        for _ in range(self.chance.randrange(1, 4)):
            name = self.chance.choice(sorted({*choices, *struct.fields}))
            if self.is_hit(0.2):
                altered.fields.pop(name, None)
            else:
                altered.fields[name].CopyFrom(self.either(name, choices) if name in choices else self.value(3))
        return altered

    def learn(self, rpc: str, request: Any, reply: Any) -> None:
        """Remember what an answer gave."""
        token = request.urn.split("::")[2] if getattr(request, "urn", "").count("::") > 2 else ""
        if token not in self.known:
            return
        known = self.known[token]
        if rpc == "Check" and not reply.failures:
            known.checked.append(reply.inputs)
        elif rpc == "Create" and reply.id:
            known.states.append((reply.id, request.properties, reply.properties))
        elif rpc == "Update" and not request.preview:
            known.states.append((request.id, request.news, reply.properties))
        elif rpc == "Read" and reply.id:
            known.states.append((reply.id, reply.inputs, reply.properties))
        for kept in (known.states, known.checked):
            del kept[:-20]

    # -- requests

    def request(self, rpc: str) -> Any:
        """Draw a request."""
        drawn: Mapping[str, Callable[[], Any]] = {
            "CheckConfig": lambda: P.CheckRequest(urn=self._provider(), news=self._settings(), olds=self._settings()),
            "DiffConfig": self._diff_config,
            "Check": self._check,
            "Diff": self._diff,
            "Create": self._create,
            "Update": self._update,
            "Read": self._read,
            "Delete": self._delete,
            "Invoke": lambda: P.InvokeRequest(
                tok=self.chance.choice(FUNCTION_TOKENS) if self.is_hit(0.97) else self.string(),
                args=self.properties(ARGUMENTS, most=3),
            ),
            "List": self._list,
            "Configure": self._configure,
            "GetSchema": lambda: P.GetSchemaRequest(version=self.chance.choice((0, 0, 0, 1, -1)), subpackage_name=self.string()),
            "GetMapping": lambda: P.GetMappingRequest(key=self.string()),
            "GetMappings": lambda: P.GetMappingsRequest(key=self.string()),
            "Parameterize": P.ParameterizeRequest,
            "Construct": lambda: P.ConstructRequest(type=self.string(), inputs=self.struct(3)),
            "Call": lambda: P.CallRequest(tok=self.string(), args=self.struct(3)),
            "Handshake": P.ProviderHandshakeRequest,
            "Attach": plugin_pb2.PluginAttach,
            "GetPluginInfo": Empty,
            "Cancel": Empty,
        }
        return drawn[rpc]()

    def _provider(self) -> str:
        return "urn:pulumi:dev::shop::pulumi:providers:runpod-serverless::default" if self.is_hit(0.95) else self.string()

    def _settings(self) -> Struct:
        settings = self.properties(SETTINGS, most=4)
        if self.is_hit(0.3):
            settings.fields["apiKey"].CopyFrom(
                Value(struct_value=self.marked(signatures.SECRET, lambda: Value(string_value=API_KEY)))
            )
        return settings

    def _configure(self) -> Any:
        if self.is_hit(0.8):
            return P.ConfigureRequest(args=self._settings())
        names = [f"runpod-serverless:config:{name}" for name in SETTINGS if name != "apiKey"]
        return P.ConfigureRequest(variables={self.chance.choice(names): self.string()})

    def _paths(self) -> list[str]:
        pool = ("workers", "workers.max", 'env["A"]', "env.*", "gpu", "template", "[", "a..b", '["', "", "*", "datacenter[0]", "\\")
        return [self.chance.choice(pool) for _ in range(self.chance.randrange(3) if self.is_hit(0.3) else 0)]

    def _seconds(self) -> float:
        return self.chance.choice((0.0, 1.0, 600.0, *NUMBERS))

    def _check(self) -> Any:
        token = self.kind()
        modes = P.CheckRequest.AutonamingOptions
        naming = modes(proposed_name=self.name(), mode=self.chance.choice((0, 1, 2, 7))) if self.is_hit(0.3) else None  # type: ignore[arg-type, unused-ignore]
        news = self.inputs(token) if self.is_hit(0.6) else self.checked(token)
        olds = self.checked(token) if self.is_hit(0.5) else Struct()
        seed = b"x" * self.chance.choice((0, 8, 32))
        return P.CheckRequest(urn=self.urn(token), news=news, olds=olds, randomSeed=seed, autonaming=naming)

    def _diff_config(self) -> Any:
        given: dict[str, Any] = {"news": self._settings(), "olds": self._settings(), "ignoreChanges": self._paths()}
        return P.DiffRequest(urn=self._provider(), **given, old_inputs=self._settings() if self.is_hit(0.5) else None)

    def _diff(self) -> Any:
        token = self.kind()
        id, inputs, outputs = self.state(token)
        news = self.checked(token) if self.is_hit(0.5) else self.altered(inputs, token)
        return P.DiffRequest(urn=self.urn(token), id=id, olds=outputs, old_inputs=inputs, news=news, ignoreChanges=self._paths())

    def _create(self) -> Any:
        token = self.kind()
        given: dict[str, Any] = {"preview": self.is_hit(0.3), "timeout": self._seconds()}
        return P.CreateRequest(urn=self.urn(token), properties=self.checked(token), **given)

    def _update(self) -> Any:
        token = self.kind()
        id, inputs, outputs = self.state(token)
        news = self.checked(token) if self.is_hit(0.3) else self.altered(inputs, token)
        given: dict[str, Any] = {"preview": self.is_hit(0.3), "timeout": self._seconds(), "ignoreChanges": self._paths()}
        return P.UpdateRequest(urn=self.urn(token), id=id, olds=outputs, old_inputs=inputs, news=news, **given)

    def _read(self) -> Any:
        token = self.kind()
        id, inputs, outputs = self.state(token)
        if self.is_hit(0.3):
            return P.ReadRequest(urn=self.urn(token), id=id)
        return P.ReadRequest(urn=self.urn(token), id=id, properties=outputs, inputs=inputs)

    def _delete(self) -> Any:
        token = self.kind()
        id, inputs, outputs = self.state(token)
        return P.DeleteRequest(urn=self.urn(token), id=id, properties=outputs, old_inputs=inputs, timeout=self._seconds())

    def _list(self) -> Any:
        number = self.chance.choice((0, 0, 1, 2, -1, 2**40))
        return P.ListRequest(
            token=self.kind() if self.is_hit(0.95) else self.string(),
            query=self.properties(ARGUMENTS, most=1),
            limit=number,
            page_size=self.chance.choice((0, 1, 3)),
            continuation_token=self.chance.choice(("", "0", "1", "x", "-1", "99999999999999999999")),
        )
