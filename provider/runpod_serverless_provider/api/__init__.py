"""Speaks to the Runpod REST API v2: one client a process, its retries, its rate limits and its error answers. Knows no resource."""
