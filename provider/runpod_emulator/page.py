"""The page at `/`: what a person sees of the account while a stack comes up. Reads everything, changes nothing."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from runpod_emulator import endpoints, templates, workers
from runpod_emulator.clock import iso
from runpod_emulator.faults import Faults
from runpod_emulator.journal import Entry, Journal
from runpod_emulator.limits import Limits
from runpod_emulator.store import Doc
from runpod_emulator.world import World

_REQUESTS_SHOWN = 60
_RESOURCES_SHOWN = 200


@cache
def html() -> str:
    """Return the page; it fetches nothing but the overview."""
    return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def _endpoint(world: World, endpoint: Doc) -> Doc:
    listed = workers.worker_list(world, endpoint)["workers"]
    return {
        "id": endpoint["id"],
        "name": endpoint["name"],
        "type": endpoint["type"],
        "gpu": endpoint.get("gpu"),
        "cpu": endpoint.get("cpu"),
        "image": endpoint["image"],
        "dataCenters": endpoint["dataCenterIds"],
        "scaling": endpoint["scaling"],
        "limits": endpoint["workers"],
        "version": endpoint["_version"],
        "workers": [{name: worker[name] for name in ("id", "status", "version", "isStale")} for worker in listed],
        "createdAt": endpoint["createdAt"],
    }


def _request(entry: Entry) -> Doc:
    return {
        "seq": entry.seq,
        "time": entry.time,
        "method": entry.method,
        "path": entry.path,
        "query": entry.query,
        "status": entry.status,
        "tookMs": entry.took_ms,
        "fault": entry.fault,
        # the names only: values may be secret, and somebody may be looking over a shoulder
        "fields": list(entry.body) if isinstance(entry.body, dict) else [],
        "userAgent": entry.user_agent,
    }


def overview(world: World, limits: Limits, faults: Faults, journal: Journal) -> dict[str, Any]:
    """Return what the page shows: the newest of each kind, and how many there are."""
    now = world.clock.now()
    account = endpoints.everything(world)
    mounted = Counter(volume for endpoint in account for volume in endpoint["networkVolumes"])
    names = {endpoint["id"]: endpoint["name"] for endpoint in account}
    volumes, registries = world.store.all("networkVolumes"), world.store.all("registries")
    presets = [*templates.bound(world), *templates.owned(world)]
    return {
        "now": iso(now),
        "offsetSeconds": world.clock.offset_seconds,
        "budget": [
            {
                "name": window.name,
                "quota": window.quota,
                "remaining": window.remaining,
                "lengthSeconds": window.length_seconds,
                "resetSeconds": window.reset_seconds(now),
            }
            for window in limits.windows()
        ],
        "workerQuota": {"used": endpoints.workers_used(world), "quota": world.settings.worker_quota},
        "totals": {
            "endpoints": len(account),
            "networkVolumes": len(volumes),
            "templates": len(presets),
            "registries": len(registries),
        },
        "endpoints": [_endpoint(world, endpoint) for endpoint in _newest(account)],
        "networkVolumes": [
            {**{name: volume[name] for name in ("id", "name", "size", "dataCenter", "type")}, "mounts": mounted[volume["id"]]}
            for volume in _newest(volumes)
        ],
        "templates": [
            {
                **{name: template[name] for name in ("id", "name", "image", "disk", "serverless")},
                "boundTo": names.get(template.get("_boundTo", "")),
            }
            for template in _newest(presets)
        ],
        "registries": [{"id": registry["id"], "name": registry["name"]} for registry in _newest(registries)],
        "requests": [_request(entry) for entry in reversed(list(journal.entries)[-_REQUESTS_SHOWN:])],
        "requestsTotal": sum(journal.counters().values()),
        "faults": faults.listed(),
    }


def _newest(docs: list[Doc]) -> list[Doc]:
    return docs[: -_RESOURCES_SHOWN - 1 : -1]
