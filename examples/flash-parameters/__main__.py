"""Every parameter of Flash's `Endpoint` once, with the values of Flash's parameter reference.

A comment stands where something is written differently than in Flash. Names of parameters are the same.
"""

import pulumi

import pulumi_runpod_serverless as runpod

config = pulumi.Config()

# volume: Flash finds the volume of this name or creates it; here that is asked for with adopt_existing.
model_cache = runpod.NetworkVolume(
    "model-cache",
    name="model-cache",
    adopt_existing=True,
    deletion_protection=config.get_bool("deletionProtection"),  # Flash never deletes a volume; here it is protected by default.
)

ml_inference = runpod.Endpoint(
    "ml-inference",
    name="ml-inference-prod",
    gpu=runpod.GpuGroup.ANY,
    idle_timeout=30,
    volume=model_cache,
    datacenter=runpod.DataCenter.EU_RO_1,
    env={
        "HF_TOKEN": config.get_secret("hfToken") or "your_huggingface_token",  # `pulumi config set --secret hfToken`
        "MODEL_ID": "gpt2",
        "LOG_LEVEL": "INFO",
    },
    flashboot=True,
    scaler_type=runpod.ScalerType.QUEUE_DELAY,  # ServerlessScalerType in Flash.
    scaler_value=2,  # With QUEUE_DELAY the API takes this as seconds that a request may wait.
    # These three travel with each function call; a change of them is kept in the state and sends no request.
    dependencies=["torch>=2.0.0", "transformers==4.36.0", "pillow"],
    system_dependencies=["libgl1-mesa-glx", "libglib2.0-0"],
    accelerate_downloads=False,
    # PodTemplate(containerDiskInGb=100, env=[…]) in Flash.
    template=runpod.PodTemplateSettingsArgs(
        container_disk_in_gb=100,
        env=[{"key": "PYTHONPATH", "value": "/workspace"}],
    ),
)

data_processor = runpod.Endpoint(
    "data-processor",
    name="data-processor",
    cpu=runpod.CpuInstanceType.CPU5C_4_8,
)

training = runpod.Endpoint(
    "training",
    name="multi-gpu-training",
    gpu=runpod.GpuType.NVIDIA_A100_80GB_PCIE,
    gpu_count=4,
    workers=2,  # Flash's pair (2, 10) is WorkersArgs(min=2, max=10).
    execution_timeout_ms=300000,
)

vllm = runpod.Endpoint(
    "vllm",
    name="vllm-server",
    image="runpod/worker-vllm:stable-cuda12.1.0",
    gpu=runpod.GpuType.NVIDIA_A100_80GB_PCIE,
    env={"MODEL_NAME": "meta-llama/Llama-3.2-3B-Instruct"},
)

# id: Endpoint(id="abc123xyz") in Flash. What is read so is shown, never changed.
connected = runpod.Endpoint.get("connected", config.get("connectTo") or vllm.id)

pulumi.export("runUrl", ml_inference.request_urls.run)
pulumi.export("connectedName", connected.name)
