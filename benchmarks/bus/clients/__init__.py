"""The systems' clients. Each module has

`prepare(job)`, called once before the consumers open;
`Producer(job, number)` with `open`, `send(batch)` (of pairs of a consumer's number, or EVERYONE, and a
payload; waits for room), `finish` (returns when all is confirmed) and `close`;
`Consumer(job, number, receive)` with `open`, `run` (calls `receive` with each payload and acks it, for ever)
and `close`.

Modules of peers run in the environment `.venv-bench`, without anything of Pentad's.
"""
