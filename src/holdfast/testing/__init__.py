"""Tools for tests: ours, and those of whoever writes a bot or another implementation.

`clock` and `entropy` make runs repeatable, `playbook` tests a pure machine like a script,
`memory` is a path without a network, `virtual` a loop without waiting, `weather` a network between
nodes on it, `shelf` a relay's store in memory, `pairs` gives two people who have met, `disk` makes
the states in which a power cut may leave files, `processes` starts real relays and nodes
on loopback, `tap` keeps what passes between them, `doomed` ends a program at a named point.
"""
