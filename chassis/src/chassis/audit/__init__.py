"""The record of acts: entries written with the act, leaves of a Merkle tree, signed checkpoints.

`leaf`, `merkle`, `note`, `checkpoint` and `verify` are pure; `store` holds the SQL, `recorder` and `sequencer` write, `survey` and
`documents` show what a check needs. `chassis.http.record` answers over HTTP.
"""
