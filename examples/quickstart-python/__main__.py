"""A network volume that keeps a model's weights, and a GPU endpoint that serves the model with vLLM."""

import pulumi

import pulumi_runpod_serverless as runpod

config = pulumi.Config()

weights = runpod.NetworkVolume(
    "weights",
    size=50,  # GB
    # On unless the stack says otherwise: `destroy` then refuses to delete the volume and what is on it.
    deletion_protection=config.get_bool("deletionProtection"),
)

chat = runpod.Endpoint(
    "chat",
    image="runpod/worker-v1-vllm:v2.11.0",
    gpu=[runpod.GpuGroup.AMPERE_24, runpod.GpuGroup.ADA_24],  # wherever there is capacity; the order means nothing
    workers=2,  # at most; none while there is nothing to do
    volume=weights,  # mounted at /runpod-volume/, where this image keeps its models
    env={"MODEL_NAME": "Qwen/Qwen2.5-1.5B-Instruct"},
)

pulumi.export("endpointId", chat.id)
pulumi.export("runUrl", chat.request_urls.run)
pulumi.export("runSyncUrl", chat.request_urls.run_sync)
pulumi.export("healthUrl", chat.request_urls.health)
