"""Starts the plugin where Pulumi's language host runs this folder (PulumiPlugin.yaml); without it the host serves only components."""

import sys

from runpod_serverless_provider.plugin.main import main

sys.exit(main())
