"""A black-box conformance suite for servers of the Agent Attribution Protocol v1: `python -m conformance --help`.

It speaks HTTP and reads a configuration; it needs Python 3.11 and httpx, and shares no code with any server.
"""
