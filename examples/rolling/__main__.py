"""An endpoint that gets an image a day and keeps its id and its URLs: each release rolls out worker by worker."""

import pulumi

import pulumi_runpod_serverless as runpod

config = pulumi.Config()
release = config.get("release") or "2026-06-01"

api = runpod.Endpoint(
    "api",
    image=f"ghcr.io/somebody/api:{release}",
    update_strategy=runpod.UpdateStrategy.IN_PLACE,  # one PATCH, where `replace` makes a new endpoint
    gpu=runpod.GpuGroup.ADA_24,
    workers=runpod.WorkersArgs(min=1, max=3),  # one is always on, so that a release is never a cold start
    env={"RELEASE": release},
)

pulumi.export("endpointId", api.id)
pulumi.export("runSyncUrl", api.request_urls.run_sync)
