import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pentad.common.v1 import common_pb2 as _common_pb2
from pentad.common.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_LOW: _ClassVar[Priority]
    PRIORITY_NORMAL: _ClassVar[Priority]
    PRIORITY_HIGH: _ClassVar[Priority]
    PRIORITY_CRITICAL: _ClassVar[Priority]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_DURABLE: _ClassVar[Durability]
    DURABILITY_BEST_EFFORT: _ClassVar[Durability]

class QueueOverflow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUEUE_OVERFLOW_UNSPECIFIED: _ClassVar[QueueOverflow]
    QUEUE_OVERFLOW_REJECT: _ClassVar[QueueOverflow]
    QUEUE_OVERFLOW_DROP_OLDEST: _ClassVar[QueueOverflow]

class SubscriptionScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBSCRIPTION_SCOPE_UNSPECIFIED: _ClassVar[SubscriptionScope]
    SUBSCRIPTION_SCOPE_AGENT: _ClassVar[SubscriptionScope]
    SUBSCRIPTION_SCOPE_INSTANCE: _ClassVar[SubscriptionScope]
PRIORITY_UNSPECIFIED: Priority
PRIORITY_LOW: Priority
PRIORITY_NORMAL: Priority
PRIORITY_HIGH: Priority
PRIORITY_CRITICAL: Priority
DURABILITY_UNSPECIFIED: Durability
DURABILITY_DURABLE: Durability
DURABILITY_BEST_EFFORT: Durability
QUEUE_OVERFLOW_UNSPECIFIED: QueueOverflow
QUEUE_OVERFLOW_REJECT: QueueOverflow
QUEUE_OVERFLOW_DROP_OLDEST: QueueOverflow
SUBSCRIPTION_SCOPE_UNSPECIFIED: SubscriptionScope
SUBSCRIPTION_SCOPE_AGENT: SubscriptionScope
SUBSCRIPTION_SCOPE_INSTANCE: SubscriptionScope

class Broadcast(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Message(_message.Message):
    __slots__ = ("id", "sender", "recipient", "topic", "broadcast", "type", "priority", "durability", "payload", "headers", "correlation_id", "reply_to", "run_id", "traceparent", "ttl", "delay", "create_time", "hops")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    BROADCAST_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    id: str
    sender: str
    recipient: str
    topic: str
    broadcast: Broadcast
    type: str
    priority: Priority
    durability: Durability
    payload: _common_pb2.Content
    headers: _containers.ScalarMap[str, str]
    correlation_id: str
    reply_to: str
    run_id: str
    traceparent: str
    ttl: _duration_pb2.Duration
    delay: _duration_pb2.Duration
    create_time: _timestamp_pb2.Timestamp
    hops: int
    def __init__(self, id: _Optional[str] = ..., sender: _Optional[str] = ..., recipient: _Optional[str] = ..., topic: _Optional[str] = ..., broadcast: _Optional[_Union[Broadcast, _Mapping]] = ..., type: _Optional[str] = ..., priority: _Optional[_Union[Priority, str]] = ..., durability: _Optional[_Union[Durability, str]] = ..., payload: _Optional[_Union[_common_pb2.Content, _Mapping]] = ..., headers: _Optional[_Mapping[str, str]] = ..., correlation_id: _Optional[str] = ..., reply_to: _Optional[str] = ..., run_id: _Optional[str] = ..., traceparent: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., hops: _Optional[int] = ...) -> None: ...

class ConnectRequest(_message.Message):
    __slots__ = ("hello", "batch", "subscribe", "unsubscribe", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    batch: ClientBatch
    subscribe: Subscribe
    unsubscribe: Unsubscribe
    goodbye: Goodbye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., batch: _Optional[_Union[ClientBatch, _Mapping]] = ..., subscribe: _Optional[_Union[Subscribe, _Mapping]] = ..., unsubscribe: _Optional[_Union[Unsubscribe, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("welcome", "batch", "subscribe_result", "drain", "goodbye")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBE_RESULT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    batch: ServerBatch
    subscribe_result: SubscribeResult
    drain: Drain
    goodbye: Goodbye
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., batch: _Optional[_Union[ServerBatch, _Mapping]] = ..., subscribe_result: _Optional[_Union[SubscribeResult, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("agent", "instance", "credit", "subscriptions", "take_inbox", "queue")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    TAKE_INBOX_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    instance: str
    credit: Credit
    subscriptions: _containers.RepeatedCompositeFieldContainer[Subscribe]
    take_inbox: bool
    queue: QueuePolicy
    def __init__(self, agent: _Optional[str] = ..., instance: _Optional[str] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., subscriptions: _Optional[_Iterable[_Union[Subscribe, _Mapping]]] = ..., take_inbox: _Optional[bool] = ..., queue: _Optional[_Union[QueuePolicy, _Mapping]] = ...) -> None: ...

class QueuePolicy(_message.Message):
    __slots__ = ("max_messages", "max_bytes", "overflow")
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    max_messages: int
    max_bytes: int
    overflow: QueueOverflow
    def __init__(self, max_messages: _Optional[int] = ..., max_bytes: _Optional[int] = ..., overflow: _Optional[_Union[QueueOverflow, str]] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("messages", "bytes")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    messages: int
    bytes: int
    def __init__(self, messages: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("instance", "ack_wait", "max_message_bytes", "max_batch_messages", "max_attempts", "agent")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ACK_WAIT_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    instance: str
    ack_wait: _duration_pb2.Duration
    max_message_bytes: int
    max_batch_messages: int
    max_attempts: int
    agent: str
    def __init__(self, instance: _Optional[str] = ..., ack_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_message_bytes: _Optional[int] = ..., max_batch_messages: _Optional[int] = ..., max_attempts: _Optional[int] = ..., agent: _Optional[str] = ...) -> None: ...

class ClientBatch(_message.Message):
    __slots__ = ("publishes", "acks", "nacks", "progress", "credit", "confirm_later")
    PUBLISHES_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    NACKS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    CONFIRM_LATER_FIELD_NUMBER: _ClassVar[int]
    publishes: _containers.RepeatedCompositeFieldContainer[Publish]
    acks: _containers.RepeatedScalarFieldContainer[int]
    nacks: _containers.RepeatedCompositeFieldContainer[Nack]
    progress: _containers.RepeatedScalarFieldContainer[int]
    credit: Credit
    confirm_later: bool
    def __init__(self, publishes: _Optional[_Iterable[_Union[Publish, _Mapping]]] = ..., acks: _Optional[_Iterable[int]] = ..., nacks: _Optional[_Iterable[_Union[Nack, _Mapping]]] = ..., progress: _Optional[_Iterable[int]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., confirm_later: _Optional[bool] = ...) -> None: ...

class Publish(_message.Message):
    __slots__ = ("seq", "message", "settles")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SETTLES_FIELD_NUMBER: _ClassVar[int]
    seq: int
    message: Message
    settles: int
    def __init__(self, seq: _Optional[int] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., settles: _Optional[int] = ...) -> None: ...

class Nack(_message.Message):
    __slots__ = ("tag", "delay", "reason", "terminal")
    TAG_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_FIELD_NUMBER: _ClassVar[int]
    tag: int
    delay: _duration_pb2.Duration
    reason: str
    terminal: bool
    def __init__(self, tag: _Optional[int] = ..., delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., terminal: _Optional[bool] = ...) -> None: ...

class ServerBatch(_message.Message):
    __slots__ = ("deliveries", "confirmed_up_to", "rejections", "stale")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_UP_TO_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    confirmed_up_to: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    stale: _containers.RepeatedCompositeFieldContainer[StaleTag]
    def __init__(self, deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., confirmed_up_to: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ..., stale: _Optional[_Iterable[_Union[StaleTag, _Mapping]]] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("tag", "attempt", "message", "subscription")
    TAG_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
    tag: int
    attempt: int
    message: Message
    subscription: str
    def __init__(self, tag: _Optional[int] = ..., attempt: _Optional[int] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., subscription: _Optional[str] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("seq", "error")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    seq: int
    error: _common_pb2.Error
    def __init__(self, seq: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class StaleTag(_message.Message):
    __slots__ = ("tag", "error")
    TAG_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    tag: int
    error: _common_pb2.Error
    def __init__(self, tag: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ("pattern", "filter", "scope")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    filter: str
    scope: SubscriptionScope
    def __init__(self, pattern: _Optional[str] = ..., filter: _Optional[str] = ..., scope: _Optional[_Union[SubscriptionScope, str]] = ...) -> None: ...

class Unsubscribe(_message.Message):
    __slots__ = ("pattern", "scope")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    scope: SubscriptionScope
    def __init__(self, pattern: _Optional[str] = ..., scope: _Optional[_Union[SubscriptionScope, str]] = ...) -> None: ...

class SubscribeResult(_message.Message):
    __slots__ = ("pattern", "scope", "error")
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    pattern: str
    scope: SubscriptionScope
    error: _common_pb2.Error
    def __init__(self, pattern: _Optional[str] = ..., scope: _Optional[_Union[SubscriptionScope, str]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("deadline",)
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: Message
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("message_id", "duplicate")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    duplicate: bool
    def __init__(self, message_id: _Optional[str] = ..., duplicate: _Optional[bool] = ...) -> None: ...

class MessageFilter(_message.Message):
    __slots__ = ("run_id", "agent", "type", "correlation_id", "start_time", "end_time")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    agent: str
    type: str
    correlation_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, run_id: _Optional[str] = ..., agent: _Optional[str] = ..., type: _Optional[str] = ..., correlation_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MessageRecord(_message.Message):
    __slots__ = ("message", "cursor")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    message: Message
    cursor: str
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListMessagesRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: MessageFilter
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[MessageFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMessagesResponse(_message.Message):
    __slots__ = ("messages", "next_page_token")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[MessageRecord]
    next_page_token: str
    def __init__(self, messages: _Optional[_Iterable[_Union[MessageRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TailMessagesRequest(_message.Message):
    __slots__ = ("filter", "after", "from_start")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FROM_START_FIELD_NUMBER: _ClassVar[int]
    filter: MessageFilter
    after: str
    from_start: bool
    def __init__(self, filter: _Optional[_Union[MessageFilter, _Mapping]] = ..., after: _Optional[str] = ..., from_start: _Optional[bool] = ...) -> None: ...

class TailMessagesResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: MessageRecord
    def __init__(self, record: _Optional[_Union[MessageRecord, _Mapping]] = ...) -> None: ...

class ReplayMessagesRequest(_message.Message):
    __slots__ = ("filter", "recipient", "max_messages", "after")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    filter: MessageFilter
    recipient: str
    max_messages: int
    after: str
    def __init__(self, filter: _Optional[_Union[MessageFilter, _Mapping]] = ..., recipient: _Optional[str] = ..., max_messages: _Optional[int] = ..., after: _Optional[str] = ...) -> None: ...

class ReplayMessagesResponse(_message.Message):
    __slots__ = ("replayed", "next_cursor")
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    replayed: int
    next_cursor: str
    def __init__(self, replayed: _Optional[int] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("dead_letter_id", "message", "recipient", "reason", "detail", "attempts", "dead_time", "history")
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    DEAD_TIME_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    message: Message
    recipient: str
    reason: str
    detail: str
    attempts: int
    dead_time: _timestamp_pb2.Timestamp
    history: _containers.RepeatedCompositeFieldContainer[DeliveryAttempt]
    def __init__(self, dead_letter_id: _Optional[str] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., recipient: _Optional[str] = ..., reason: _Optional[str] = ..., detail: _Optional[str] = ..., attempts: _Optional[int] = ..., dead_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., history: _Optional[_Iterable[_Union[DeliveryAttempt, _Mapping]]] = ...) -> None: ...

class DeliveryAttempt(_message.Message):
    __slots__ = ("attempt", "instance", "end_time", "outcome", "detail")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    instance: str
    end_time: _timestamp_pb2.Timestamp
    outcome: str
    detail: str
    def __init__(self, attempt: _Optional[int] = ..., instance: _Optional[str] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., outcome: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ("dead_letter_id",)
    DEAD_LETTER_ID_FIELD_NUMBER: _ClassVar[int]
    dead_letter_id: str
    def __init__(self, dead_letter_id: _Optional[str] = ...) -> None: ...

class GetDeadLetterResponse(_message.Message):
    __slots__ = ("dead_letter",)
    DEAD_LETTER_FIELD_NUMBER: _ClassVar[int]
    dead_letter: DeadLetter
    def __init__(self, dead_letter: _Optional[_Union[DeadLetter, _Mapping]] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("recipient", "page_size", "page_token")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    recipient: str
    page_size: int
    page_token: str
    def __init__(self, recipient: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    next_page_token: str
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RedriveDeadLettersRequest(_message.Message):
    __slots__ = ("dead_letter_ids", "recipient", "all")
    DEAD_LETTER_IDS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    dead_letter_ids: _containers.RepeatedScalarFieldContainer[str]
    recipient: str
    all: bool
    def __init__(self, dead_letter_ids: _Optional[_Iterable[str]] = ..., recipient: _Optional[str] = ..., all: _Optional[bool] = ...) -> None: ...

class PurgeDeadLettersRequest(_message.Message):
    __slots__ = ("dead_letter_ids", "recipient", "all")
    DEAD_LETTER_IDS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    dead_letter_ids: _containers.RepeatedScalarFieldContainer[str]
    recipient: str
    all: bool
    def __init__(self, dead_letter_ids: _Optional[_Iterable[str]] = ..., recipient: _Optional[str] = ..., all: _Optional[bool] = ...) -> None: ...

class PurgeDeadLettersResponse(_message.Message):
    __slots__ = ("purged",)
    PURGED_FIELD_NUMBER: _ClassVar[int]
    purged: int
    def __init__(self, purged: _Optional[int] = ...) -> None: ...

class RedriveDeadLettersResponse(_message.Message):
    __slots__ = ("redriven",)
    REDRIVEN_FIELD_NUMBER: _ClassVar[int]
    redriven: int
    def __init__(self, redriven: _Optional[int] = ...) -> None: ...

class GetQueueStatsRequest(_message.Message):
    __slots__ = ("agent", "page_size", "page_token")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agent: str
    page_size: int
    page_token: str
    def __init__(self, agent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetQueueStatsResponse(_message.Message):
    __slots__ = ("queues", "next_page_token")
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[QueueStats]
    next_page_token: str
    def __init__(self, queues: _Optional[_Iterable[_Union[QueueStats, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class QueueStats(_message.Message):
    __slots__ = ("recipient", "queued", "in_flight", "delayed", "bytes", "oldest_age", "consumers", "dead_letters", "dropped", "max_messages", "max_bytes", "overflow")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    DELAYED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_AGE_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    recipient: str
    queued: int
    in_flight: int
    delayed: int
    bytes: int
    oldest_age: _duration_pb2.Duration
    consumers: int
    dead_letters: int
    dropped: int
    max_messages: int
    max_bytes: int
    overflow: QueueOverflow
    def __init__(self, recipient: _Optional[str] = ..., queued: _Optional[int] = ..., in_flight: _Optional[int] = ..., delayed: _Optional[int] = ..., bytes: _Optional[int] = ..., oldest_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., consumers: _Optional[int] = ..., dead_letters: _Optional[int] = ..., dropped: _Optional[int] = ..., max_messages: _Optional[int] = ..., max_bytes: _Optional[int] = ..., overflow: _Optional[_Union[QueueOverflow, str]] = ...) -> None: ...
