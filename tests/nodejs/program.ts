// What a Node.js program writes with the generated SDK. The type checker reads it, and then it runs against Pulumi's mocks.

import * as pulumi from "@pulumi/pulumi";
import * as runpod from "pulumi-runpod-serverless";

const registered: Record<string, unknown> = {};

pulumi.runtime.setMocks({
    newResource: (args) => {
        registered[`${args.type} ${args.name}`] = args.inputs;
        return { id: `${args.name}-id`, state: { ...args.inputs, settings: { image: args.inputs.image }, requestUrls: { run: "https://run" } } };
    },
    call: (args) => ({ id: "existing", asked: args.token, gpuTypes: [], requestUrls: { run: "https://found" } }),
});

const registry = new runpod.Registry("registry", { username: "me", password: pulumi.secret("sesame") });
const models = new runpod.NetworkVolume("models", { size: 20, datacenter: runpod.DataCenter.Eu_ro_1, deletionProtection: false });
const common = new runpod.PodTemplate("common", {
    image: "me/worker:1",
    env: [{ key: "LEVEL", value: "info" }],
    registryAuthId: registry.id,
    category: runpod.TemplateCategory.Nvidia,
});
const llm = new runpod.Endpoint("llm", {
    gpu: [runpod.GpuType.Nvidia_a100_80gb_pcie, runpod.GpuGroup.Ada_24, "SOME_NEW_POOL"],
    gpuCount: 2,
    volume: models, // the resource itself, its id, or a list of them
    template: common.settings,
    workers: { min: 1, max: 3 },
    env: { TOKEN: pulumi.secret("sesame"), MODELS: models.id },
    flashboot: true,
    updateStrategy: runpod.UpdateStrategy.In_place,
});
new runpod.Endpoint("api", {
    type: runpod.EndpointType.Load_balancer,
    cpu: runpod.CpuInstanceType.Cpu5c_4_8,
    image: "me/api:1",
    workers: 2,
    volume: [models.id],
    template: { ports: ["8000/http"], env: { PORT: "8000" }, containerDiskInGb: 10 },
    scalerType: "REQUEST_COUNT",
    flashboot: runpod.FlashBoot.Off,
});
const existing = runpod.Endpoint.get("existing", "abc123");
const found = runpod.getEndpointOutput({ name: llm.name });
const cards: pulumi.Output<string[]> = runpod.getGpuTypesOutput({ onlyAvailable: true }).gpuTypes.apply((types) => types.map((type) => type.id));
const provider = new runpod.Provider("elsewhere", { apiKey: "key", baseUrl: "http://127.0.0.1:1", defaultUpdateStrategy: "inPlace" });

export const url: pulumi.Output<string | undefined> = llm.requestUrls.apply((urls) => urls.run);
export const most: pulumi.Output<number> = llm.workers.max;
export const pools: pulumi.Output<string[]> = llm.gpuPools;

// What the type checker must refuse.
// @ts-expect-error: there is no such property
new runpod.Endpoint("misspelt", { gpus: "ADA_24" }, { provider });
// @ts-expect-error: a number
new runpod.Endpoint("counted", { gpuCount: "two" });
// @ts-expect-error: a map of strings
new runpod.Endpoint("furnished", { env: { LEVEL: 3 } });
// @ts-expect-error: workers need a maximum
new runpod.Endpoint("unbounded", { workers: { min: 1 } });
// @ts-expect-error: an output is no input
new runpod.NetworkVolume("mounted", { mountPath: "/somewhere" });
// @ts-expect-error: the function takes an id or a name
runpod.getRegistryOutput({ username: "me" });

pulumi.all([url, existing.urn, found.requestUrls, cards]).apply(async ([run, , urls]) => {
    console.log(JSON.stringify({ run, found: urls.run, registered }));
});
