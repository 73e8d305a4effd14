"""The benchmarks: what the provider costs beyond the requests that it has to make."""
