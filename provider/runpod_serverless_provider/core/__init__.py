"""What every resource and both doors share: values, markers, diff, verbs and failures. Knows no gRPC, pulumi or httpx."""
