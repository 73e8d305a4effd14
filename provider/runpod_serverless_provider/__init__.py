"""The provider behind `pulumi-resource-runpod-serverless`: core, resources, API client, schema and plugin."""
