"""Verifies the ledger against itself, against what was signed, and against the source (docs/ledger.md).

V1 indices without gap            walk        V8  bodies, columns, postings, openings  entries, spelling, stories
V2 bodies have their hashes       entries     V9  chains of the streams                entries
V3 roots of all heads             walk        V10 sums, balances, standings            money, stories
V4 tiles                          walk        V11 guards in the catalog                guards, tables
V5 checkpoints, cosignatures      checkpoints V12 times                                times
V6 what is known outside          outside     V13 evidence and its bytes               evidence, others
V7 nothing waits too long         waiting
"""
