"""The native door: speaks the engine's gRPC protocol and hands each verb to the core."""
