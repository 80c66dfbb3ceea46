"""Pentad's message bus beside what a Python user would take instead, measured in one run: `make bench-bus`.

Every measurement starts its own broker with an empty store on a free loopback port, one process with the
producers and one with the consumers: three processes, whatever the system. Payloads have 256 bytes. Runs are
interleaved: every system once, then every system again. A producer sends for a given time, or up to a given
count, as fast as its client lets it; a measurement ends when the consumers have everything. Throughput is
what was delivered over the time from the first send to the last arrival. All clients are Python on uvloop.

How each system is used, which is how its documentation says to use it for throughput:

pentad
    The defaults of `python -m pentad_bus`: the journal in SQLite. `publish_soon` with at most 8,192 messages
    unconfirmed; the consumer acks each delivery and has a credit of 8,192. Durable unless the scenario says
    lossy; lossy messages ask for `durable=False`.
pentad-redis
    The same clients; the bus keeps its messages in Valkey. CPU and memory are those of the bus and of Valkey.
nats-core
    `publish`, which the client collects and flushes by itself; a subscription with a callback. At most once.
    The server's limit of what it holds for a slow client, and the client's, are lifted: at the default of
    64 MB the server disconnects a Python consumer that is slower than its producer.
nats-jetstream
    A stream in files. `publish_async`, at most 4,000 unacknowledged (the client's default); durable pull
    consumers fetch batches of 500 and ack each message. No message ids, so no deduplication.
redis-streams
    redis-py with hiredis on Valkey with `appendonly yes`, `appendfsync everysec`. Pipelines of 256 XADD; the
    consumer's XACK of a batch and its next XREADGROUP of up to 512 are one pipeline. A stream each inbox,
    a consumer group each subscriber. No trimming, no deduplication.
autogen
    The gRPC runtime of autogen-ext 0.7.5 with its tracing switched off: `publish_message` of a dataclass,
    agents subscribed by type. It has neither confirmations nor flow control, so the count is bounded instead.
rabbitmq
    Where there is a server on the machine. aio-pika; persistent messages to durable classic queues, publisher
    confirms with at most 1,000 outstanding; prefetch 1,000 and an ack each message.

The names of scenarios say it: producers and consumers. In `broadcast-1-10` each of ten consumers gets a copy,
and all copies count; in `many-10-10` each of ten producers sends to all ten consumers in turn. In `paced-1k`
one producer sends 1,000 messages a second, and what is measured is latency, from before the call that sends
to the consumer's handler. Latency at full speed would say how long the queue is, and is not given.
"""
