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
    """Return what the page shows."""
    now = world.clock.now()
    account = endpoints.everything(world)
    mounted = Counter(volume for endpoint in account for volume in endpoint["networkVolumes"])
    names = {endpoint["id"]: endpoint["name"] for endpoint in account}
    latest = list(journal.entries)[-_REQUESTS_SHOWN:]
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
        "endpoints": [_endpoint(world, endpoint) for endpoint in account],
        "networkVolumes": [
            {**{name: volume[name] for name in ("id", "name", "size", "dataCenter", "type")}, "mounts": mounted[volume["id"]]}
            for volume in world.store.all("networkVolumes")
        ],
        "templates": [
            {
                **{name: template[name] for name in ("id", "name", "image", "disk", "serverless")},
                "boundTo": names.get(template.get("_boundTo", "")),
            }
            for template in [*templates.owned(world), *templates.bound(world)]
        ],
        "registries": [{"id": registry["id"], "name": registry["name"]} for registry in world.store.all("registries")],
        "requests": [_request(entry) for entry in reversed(latest)],
        "requestsTotal": sum(journal.counters().values()),
        "faults": faults.listed(),
    }
