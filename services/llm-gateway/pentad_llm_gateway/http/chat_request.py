"""A body of `/v1/chat/completions` as a Completion.

What the contract has a place for is taken there. `OPENAI_HINTS` go to providers that know them and are left
out elsewhere; `WITHOUT_EFFECT` changes nothing here. Any other field is an extra: passed on, or refused.
The answer names what was left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pentad_llm_gateway import completion as c
from pentad_llm_gateway.extras import check_extras
from pentad_llm_gateway.http.errors import from_validation, invalid
from pentad_llm_gateway.providers.chat_format import OPENAI_HINTS

WITHOUT_EFFECT = frozenset(
    {"audio", "logprobs", "metadata", "safety_identifier", "store", "top_logprobs", "user"}
)
_HARMLESS = {"logprobs": False, "store": False, "top_logprobs": 0}
"""Values that ask for nothing: not named among what was left out."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _ImageUrl(_Part):
    url: str = Field(max_length=64 * 1024 * 1024)
    detail: str | None = None


class _Content(_Part):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | None = None


class _Function(_Part):
    name: str = Field(min_length=1, max_length=64)
    arguments: str = ""


class _ToolCall(_Part):
    id: str = Field(max_length=128)
    type: str = "function"
    function: _Function | None = None


class _Message(_Part):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Content] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: _Function | None = None
    name: str | None = None


class _ToolFunction(_Part):
    name: str = Field(min_length=1, max_length=64)
    description: str | None = Field(default=None, max_length=8192)
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(_Part):
    type: str
    function: _ToolFunction | None = None


class _JsonSchema(_Part):
    name: str = Field(default="answer", max_length=64)
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")


class _ResponseFormat(_Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _StreamOptions(_Part):
    include_usage: bool = False


_Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Bound = Annotated[int, Field(ge=0, lt=2**31)]


class ChatBody(BaseModel):
    """The fields of OpenAI's interface that mean something here, and all others as extras."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str = Field(default="", max_length=256)
    messages: list[_Message] = Field(min_length=1, max_length=4096)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: _Bound | None = None
    max_completion_tokens: _Bound | None = None
    stop: str | list[str] | None = None
    seed: _Seed | None = None
    reasoning_effort: str | None = Field(default=None, max_length=16)
    modalities: list[str] | None = None
    response_format: _ResponseFormat | None = None
    tools: list[_Tool] | None = Field(default=None, max_length=256)
    tool_choice: str | dict[str, Any] | None = None
    functions: list[_ToolFunction] | None = Field(default=None, max_length=256)
    function_call: str | dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for. `legacy`: by functions instead of tools, and so it wants them called."""

    completion: c.Completion
    stream: bool
    include_usage: bool
    legacy: bool
    ignored: tuple[str, ...]


def read_chat(data: bytes) -> Asked:
    """What the body asks for. Raises InvalidArgument INVALID_REQUEST, naming the field at fault."""
    try:
        body = ChatBody.model_validate_json(data)
    except ValidationError as error:
        raise from_validation(error) from None
    if body.n not in (None, 1):
        raise invalid("n", "there is one choice an answer here; ask several times for several")
    if set(body.modalities or ()) - {"text"}:
        raise invalid("modalities", "models are asked for text alone here")
    given = {name: value for name, value in (body.model_extra or {}).items() if value is not None}
    hints = {name: value for name, value in given.items() if name in OPENAI_HINTS}
    check_extras(hints)
    legacy = bool(body.functions) and not body.tools
    completion = c.Completion(
        model=body.model,
        messages=tuple(
            turn for number, item in enumerate(body.messages) for turn in _turns(item, f"messages[{number}]")
        ),
        tools=(tools := _tools(body)),
        tool_choice=_tool_choice(body, tools),
        response_format=_response_format(body.response_format),
        sampling=_sampling(body),
        extras={
            name: value
            for name, value in given.items()
            if name not in OPENAI_HINTS and name not in WITHOUT_EFFECT
        },
        hints=hints,
    )
    options = body.stream_options or _StreamOptions()
    return Asked(completion, bool(body.stream), options.include_usage, legacy, _ignored(given))


def _ignored(given: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        sorted(
            name
            for name in given.keys() & WITHOUT_EFFECT
            if given[name] != _HARMLESS.get(name) or name not in _HARMLESS
        )
    )


def _turns(message: _Message, path: str) -> list[c.Message]:
    match message.role:
        case "system" | "developer":
            return [c.Message("system", _parts(message, path))]
        case "user":
            return [c.Message("user", _parts(message, path))]
        case "assistant":
            return [c.Message("assistant", _said(message, path))]
        case "tool" | "function":
            call_id = message.tool_call_id if message.role == "tool" else message.name
            if not call_id:
                field = "tool_call_id" if message.role == "tool" else "name"
                raise invalid(f"{path}.{field}", "says which call this answers, and is missing")
            text = "".join(part.text for part in _parts(message, path) if isinstance(part, c.Text))
            return [c.Message("tool", (c.ToolResult(call_id, text),))]


def _said(message: _Message, path: str) -> tuple[c.Part, ...]:
    parts: list[c.Part] = []
    if message.reasoning_content:
        parts.append(c.Reasoning(message.reasoning_content))
    if message.content is not None:
        parts += _parts(message, path)
    if message.refusal:
        parts.append(c.Text(message.refusal))
    for number, call in enumerate(message.tool_calls or ()):
        if call.function is None:
            raise invalid(f"{path}.tool_calls[{number}].type", "only functions can be called here")
        _check_object(call.function.arguments, f"{path}.tool_calls[{number}].function.arguments")
        parts.append(c.ToolCall(call.id, call.function.name, call.function.arguments))
    if function := message.function_call:
        _check_object(function.arguments, f"{path}.function_call.arguments")
        parts.append(c.ToolCall(function.name, function.name, function.arguments))
    return tuple(parts)


def _check_object(text: str, path: str) -> None:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        raise invalid(path, "is not JSON") from None
    if not isinstance(value, dict):
        raise invalid(path, "is not a JSON object")


def _parts(message: _Message, path: str) -> tuple[c.Part, ...]:
    if message.content is None:
        raise invalid(f"{path}.content", "is missing")
    if isinstance(message.content, str):
        return (c.Text(message.content),)
    return tuple(_part(item, f"{path}.content[{number}]") for number, item in enumerate(message.content))


def _part(part: _Content, path: str) -> c.Part:
    match part.type:
        case "text" if part.text is not None:
            return c.Text(part.text)
        case "refusal" if part.refusal is not None:
            return c.Text(part.refusal)
        case "image_url" if part.image_url is not None:
            return _image(part.image_url.url, f"{path}.image_url.url")
        case "text" | "refusal" | "image_url":
            raise invalid(f"{path}.{part.type}", "is missing")
        case _:
            raise invalid(f"{path}.type", f"text and image_url are taken here, not {part.type[:40]!r}")


def _image(url: str, path: str) -> c.Image:
    if url.startswith(("http://", "https://")):
        if len(url) > 8192:
            raise invalid(path, "is longer than 8192 characters")
        return c.Image("image/png", url=url)
    head, comma, data = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise invalid(path, "is neither an address (http, https) nor data:…;base64,…")
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(path, "is not base64") from None
    return c.Image(head.removeprefix("data:").partition(";")[0] or "image/png", decoded)


def _tools(body: ChatBody) -> tuple[c.Tool, ...]:
    found: list[_ToolFunction] = []
    for number, tool in enumerate(body.tools or ()):
        if tool.type != "function" or tool.function is None:
            raise invalid(f"tools[{number}].type", "only functions are taken here")
        found.append(tool.function)
    known = {tool.name for tool in found}
    found += [function for function in body.functions or () if function.name not in known]
    tools = (_tool(function) for function in found)
    allowed = _allowed(body.tool_choice)
    return tuple(tool for tool in tools if allowed is None or tool.name in allowed)


def _tool(function: _ToolFunction) -> c.Tool:
    schema = {"type": "object", "properties": {}} if function.parameters is None else function.parameters
    return c.Tool(function.name, function.description or "", schema, function.strict)


def _allowed(choice: str | dict[str, Any] | None) -> set[str] | None:
    """The names of the tools that `allowed_tools` leaves; None for all."""
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    tools = _mapping(choice.get("allowed_tools")).get("tools")
    items = tools if isinstance(tools, list) else []
    return {str(_mapping(_mapping(item).get("function")).get("name")) for item in items}


def _tool_choice(body: ChatBody, tools: tuple[c.Tool, ...]) -> c.ToolChoice:
    choice, field = body.tool_choice, "tool_choice"
    if choice is None and body.function_call is not None:
        choice, field = body.function_call, "function_call"
    if isinstance(choice, dict):
        if choice.get("type") == "allowed_tools":
            choice = _mapping(choice.get("allowed_tools")).get("mode", "auto")
        else:
            name = choice.get("name") or _mapping(choice.get("function")).get("name")
            if name not in {tool.name for tool in tools}:
                raise invalid(field, "names none of the tools")
            return c.ToolChoice("named", str(name))
    match choice:
        case None | "auto":
            return c.ToolChoice()
        case "none":
            return c.ToolChoice("none")
        case "required":
            if not tools:
                raise invalid(field, "requires a tool, and there are none")
            return c.ToolChoice("required")
        case _:
            raise invalid(field, "is one of none, auto, required, or names a function")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _response_format(form: _ResponseFormat | None) -> c.ResponseFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return c.ResponseFormat(None)
    if form.json_schema is None:
        raise invalid("response_format.json_schema", "is missing")
    return c.ResponseFormat(form.json_schema.schema_, form.json_schema.name)


def _sampling(body: ChatBody) -> c.Sampling:
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if len(stop) > 16:
        raise invalid("stop", "has more than 16 sequences")
    return c.Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_output_tokens=body.max_completion_tokens or body.max_tokens or None,
        stop=tuple(stop),
        seed=body.seed,
        reasoning_effort=body.reasoning_effort or "",
    )
