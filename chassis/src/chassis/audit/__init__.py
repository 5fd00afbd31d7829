"""The record of acts: entries written with the act, leaves of a Merkle tree, signed checkpoints.

`leaf`, `merkle`, `checkpoint` and `verify` are pure; `store` holds the SQL, `recorder` and `sequencer` write, `routes` answer.
"""
