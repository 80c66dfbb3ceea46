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

class Reducer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REDUCER_UNSPECIFIED: _ClassVar[Reducer]
    REDUCER_APPEND: _ClassVar[Reducer]
    REDUCER_MERGE: _ClassVar[Reducer]
    REDUCER_INCREMENT: _ClassVar[Reducer]
REDUCER_UNSPECIFIED: Reducer
REDUCER_APPEND: Reducer
REDUCER_MERGE: Reducer
REDUCER_INCREMENT: Reducer

class Address(_message.Message):
    __slots__ = ("scope", "namespace", "key")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    scope: str
    namespace: str
    key: str
    def __init__(self, scope: _Optional[str] = ..., namespace: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("address", "content", "revision", "create_revision", "version", "expire_time", "writer", "update_time", "deleted")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    CREATE_REVISION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    WRITER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    address: Address
    content: _common_pb2.Content
    revision: int
    create_revision: int
    version: int
    expire_time: _timestamp_pb2.Timestamp
    writer: str
    update_time: _timestamp_pb2.Timestamp
    deleted: bool
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., content: _Optional[_Union[_common_pb2.Content, _Mapping]] = ..., revision: _Optional[int] = ..., create_revision: _Optional[int] = ..., version: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., writer: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., deleted: _Optional[bool] = ...) -> None: ...

class Compare(_message.Message):
    __slots__ = ("address", "revision", "version", "data", "exists")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    address: Address
    revision: int
    version: int
    data: bytes
    exists: bool
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., revision: _Optional[int] = ..., version: _Optional[int] = ..., data: _Optional[bytes] = ..., exists: _Optional[bool] = ...) -> None: ...

class PutOp(_message.Message):
    __slots__ = ("address", "content", "ttl", "reducer")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    REDUCER_FIELD_NUMBER: _ClassVar[int]
    address: Address
    content: _common_pb2.Content
    ttl: _duration_pb2.Duration
    reducer: Reducer
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., content: _Optional[_Union[_common_pb2.Content, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reducer: _Optional[_Union[Reducer, str]] = ...) -> None: ...

class Op(_message.Message):
    __slots__ = ("put", "delete", "get")
    PUT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    put: PutOp
    delete: Address
    get: Address
    def __init__(self, put: _Optional[_Union[PutOp, _Mapping]] = ..., delete: _Optional[_Union[Address, _Mapping]] = ..., get: _Optional[_Union[Address, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("address", "revision")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    address: Address
    revision: int
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("entry", "revision")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    revision: int
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("put", "compare", "request_id")
    PUT_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    put: PutOp
    compare: Compare
    request_id: str
    def __init__(self, put: _Optional[_Union[PutOp, _Mapping]] = ..., compare: _Optional[_Union[Compare, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("address", "compare")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    address: Address
    compare: Compare
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., compare: _Optional[_Union[Compare, _Mapping]] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("deleted", "revision")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    deleted: bool
    revision: int
    def __init__(self, deleted: _Optional[bool] = ..., revision: _Optional[int] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("prefix", "page_size", "page_token", "keys_only")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    prefix: Address
    page_size: int
    page_token: str
    keys_only: bool
    def __init__(self, prefix: _Optional[_Union[Address, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., keys_only: _Optional[bool] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("entries", "next_page_token", "revision")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    revision: int
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class TransactRequest(_message.Message):
    __slots__ = ("compares", "then", "otherwise", "request_id")
    COMPARES_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    OTHERWISE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    compares: _containers.RepeatedCompositeFieldContainer[Compare]
    then: _containers.RepeatedCompositeFieldContainer[Op]
    otherwise: _containers.RepeatedCompositeFieldContainer[Op]
    request_id: str
    def __init__(self, compares: _Optional[_Iterable[_Union[Compare, _Mapping]]] = ..., then: _Optional[_Iterable[_Union[Op, _Mapping]]] = ..., otherwise: _Optional[_Iterable[_Union[Op, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class TransactResponse(_message.Message):
    __slots__ = ("succeeded", "results", "revision")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    succeeded: bool
    results: _containers.RepeatedCompositeFieldContainer[OpResult]
    revision: int
    def __init__(self, succeeded: _Optional[bool] = ..., results: _Optional[_Iterable[_Union[OpResult, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class OpResult(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("prefix", "after_revision", "include_current", "after")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    AFTER_REVISION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CURRENT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    prefix: Address
    after_revision: int
    include_current: bool
    after: str
    def __init__(self, prefix: _Optional[_Union[Address, _Mapping]] = ..., after_revision: _Optional[int] = ..., include_current: _Optional[bool] = ..., after: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("entry", "cursor", "revision")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    entry: Entry
    cursor: str
    revision: int
    def __init__(self, entry: _Optional[_Union[Entry, _Mapping]] = ..., cursor: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetHistoryRequest(_message.Message):
    __slots__ = ("address", "page_size", "page_token")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    address: Address
    page_size: int
    page_token: str
    def __init__(self, address: _Optional[_Union[Address, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetHistoryResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
