"""THE CONTRACT between head-end and gateways, version 1: messages, topics, codec, limits.

A leaf: standard library and pydantic only. `docs/gateway.md` says the same for people who write a gateway in
another language; the JSON Schemas and the AsyncAPI document in `docs/` are written from these models.
"""
