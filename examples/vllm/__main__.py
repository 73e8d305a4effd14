"""A language model behind OpenAI's API: vLLM in an image of your own, the image in a private registry, the model on a volume."""

import pulumi

import pulumi_runpod_serverless as runpod

config = pulumi.Config()

# README.md says how to set these. None has a default: with somebody else's the endpoint would come up and serve nothing.
image = config.require("image")
user, password = config.require("registryUser"), config.require_secret("registryPassword")
token = config.require_secret("hfToken")

registry = runpod.Registry(
    "registry",
    username=user,
    password=password,  # secret in the state by itself
)

models = runpod.NetworkVolume(
    "models",
    size=200,  # GB
    # On unless the stack says otherwise: `destroy` then refuses to delete the volume and what is on it.
    deletion_protection=config.get_bool("deletionProtection"),
)

llm = runpod.Endpoint(
    "llm",
    image=image,
    template=runpod.PodTemplateSettingsArgs(
        registry_auth_id=registry.id,  # the image is pulled with these credentials
        container_disk_in_gb=40,
    ),
    # Either A100, or any H100: Runpod takes what it has, so the order means nothing.
    gpu=[runpod.GpuType.NVIDIA_A100_80GB_PCIE, runpod.GpuType.NVIDIA_A100_SXM4_80GB, runpod.GpuGroup.ADA_80_PRO],
    workers=2,  # at most; none while there is nothing to do
    idle_timeout=300,  # loading a large model again costs more than five minutes of waiting
    volume=models,  # mounted at /runpod-volume/, and the endpoint runs where the volume is
    env={
        "MODEL_NAME": config.get("model") or "meta-llama/Llama-3.1-8B-Instruct",
        "BASE_PATH": "/runpod-volume",  # where this worker keeps its models
        "HF_TOKEN": token,  # the model is gated
    },
)

pulumi.export("endpointId", llm.id)
# What an OpenAI client takes as its `base_url`, with a Runpod API key as `api_key`.
pulumi.export("openaiUrl", pulumi.Output.concat(llm.request_urls.run.apply(lambda url: url.removesuffix("/run")), "/openai/v1"))
