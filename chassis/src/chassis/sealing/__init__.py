"""Sealing: keys, trust, and the cryptography of envelopes.

Import from the module that has what is needed: a service that may not open envelopes must be able to leave out
`opening` and `opening_keys`, so nothing is gathered here.
"""
