"""tidings.v1.PublisherService."""

import copy
import re
from collections.abc import AsyncIterator
from typing import TypeVar

import grpc
from buf.validate.validate_pb2 import FieldPathElement
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from tidings.v1.error_pb2 import (
    ERROR_REASON_EVENT_INVALID,
    ERROR_REASON_EVENT_MALFORMED,
    ERROR_REASON_EVENT_TOO_LARGE,
    ERROR_REASON_EVENT_TYPE_NOT_ALLOWED,
    ERROR_REASON_EVENT_TYPE_UNKNOWN,
    ERROR_REASON_REQUEST_INVALID,
    ERROR_REASON_TOPIC_UNDETERMINED,
)
from tidings.v1.event_pb2 import Event
from tidings.v1.publisher_service_pb2 import (
    ImportRequest,
    ImportResponse,
    PublishRequest,
    PublishResponse,
    PublishStreamRequest,
    PublishStreamResponse,
)
from tidings.v1.publisher_service_pb2_grpc import PublisherServiceServicer
from tidings.v1.receipt_pb2 import RefusedEvent

from batch import Accepted, Batch, check_subjects
from eventtypes import EventType, EventTypes
from faults import Fault, about_field, check
from limits import MAX_EVENT_BYTES, MAX_EVENTS, MAX_EVENTS_BY_EVENT
from topics import Log, Topics

MAX_REFUSED_EVENTS = 100  # In the summary of an import.
MAX_SECONDS, MIN_SECONDS = 253_402_300_799, -62_135_596_800  # The years 1 to 9999.

# Breaks no rule, in any field of an event.
PLAIN = re.compile(r"[!-~]{1,256}")
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
KEY = re.compile(r"[^\x00-\x1f\x7f]{0,512}")
PLAIN_EVENT = Event(id="-", source="-", data=Any())

Received = TypeVar("Received", PublishStreamRequest, ImportRequest)

PublishContext = grpc.aio.ServicerContext[PublishRequest, PublishResponse]
StreamContext = grpc.aio.ServicerContext[PublishStreamRequest, PublishStreamResponse]
ImportContext = grpc.aio.ServicerContext[ImportRequest, ImportResponse]


class Publisher(PublisherServiceServicer):
    """tidings.v1.PublisherService. Nothing waits while a request is stored, so that no
    other comes between."""

    def __init__(self, types: EventTypes, topics: Topics) -> None:
        self._types = types
        self._topics = topics

    async def Publish(  # noqa: N802
        self, request: PublishRequest, context: PublishContext
    ) -> PublishResponse:
        return self.publish(request)

    async def PublishStream(  # noqa: N802
        self, request_iterator: AsyncIterator[PublishStreamRequest | Fault], context: StreamContext
    ) -> AsyncIterator[PublishStreamResponse]:
        batch = 0
        stop = False
        async for received in request_iterator:
            try:
                request = require(received)
                if batch == 0:
                    stop = request.stop_on_error
                elif request.stop_on_error and not stop:
                    description = "must be set in the first message"
                    raise about_field(ERROR_REASON_REQUEST_INVALID, "stop_on_error", description)
                published = self.publish(wrapped(request))
                yield PublishStreamResponse(batch=batch, published=published)
                failed = bool(published.refused_events)
            except Fault as fault:
                yield PublishStreamResponse(batch=batch, error=fault.proto())
                failed = True
            if stop and failed:
                return
            batch += 1

    async def Import(  # noqa: N802
        self, request_iterator: AsyncIterator[ImportRequest | Fault], context: ImportContext
    ) -> ImportResponse:
        summary = ImportResponse()
        first: PublishRequest | None = None
        try:
            async for received in request_iterator:
                request = wrapped(require(received))
                if first is None:
                    first = copy.deepcopy(request)
                check_importable(request, first)
                # What the first message says, or its events declare, holds for all.
                request.topic = first.topic or summary.topic
                request.skip_invalid = first.skip_invalid
                response = self.publish(request, base=summary.received_count)
                summary.received_count += len(request.events)
                count(response, summary)
        except Fault as fault:
            fault.metadata["stored"] = str(summary.stored_count)
            raise
        return summary

    def publish(self, request: PublishRequest, base: int = 0) -> PublishResponse:
        """Stores the events of a request. Indexes in errors are counted from base."""
        check_own_fields(request)
        name = request.topic or self._declared_topic(request)
        log = self._topics.log(name) if name else None
        if log and log.by_event:
            check_count(request, MAX_EVENTS_BY_EVENT, " in a topic with DEDUPE_EVENT")
        response = PublishResponse(topic=name)
        accepted = []
        for index, event in enumerate(request.events):
            try:
                accepted.append(self._check(log, index, base + index, event))
            except Fault as fault:
                if not request.skip_invalid:
                    raise
                refused = RefusedEvent(index=base + index, id=event.id, error=fault.proto())
                response.refused_events.append(refused)
        if not accepted and not request.preconditions:
            return response
        if log is None:
            raise about_field(ERROR_REASON_TOPIC_UNDETERMINED, "topic", "must be set")
        batch = Batch(log, request.request_id, request.events, accepted, request.preconditions)
        response.receipts.extend(batch.store())
        return response

    def _declared_topic(self, request: PublishRequest) -> str:
        """The topic that the types of all events declare. Events of unknown types have
        no say; they are refused on their own."""
        topic = ""
        for index, event in enumerate(request.events):
            known = self._types.find(event.data.type_url)
            if known is None:
                continue
            if not known.topic:
                description = f"must be set: {known.name} of events[{index}] declares none"
                raise about_field(ERROR_REASON_TOPIC_UNDETERMINED, "topic", description)
            if topic not in ("", known.topic):
                description = f'must be set: the events declare both "{topic}" and "{known.topic}"'
                raise about_field(ERROR_REASON_TOPIC_UNDETERMINED, "topic", description)
            topic = known.topic
        return topic

    def _check(self, log: Log | None, index: int, shown: int, event: Event) -> Accepted:
        """The event, with its partition key, or a Fault."""
        at = f"events[{shown}]"
        here = FieldPathElement(field_name="events", index=shown)
        check_envelope(event, here, at)
        if event.ByteSize() > MAX_EVENT_BYTES:
            metadata = {"size": str(event.ByteSize()), "limit": str(MAX_EVENT_BYTES)}
            raise Fault(ERROR_REASON_EVENT_TOO_LARGE, f"{at} is too large", metadata)
        known = self._allowed_type(log, event, at)
        try:
            payload = known.message.FromString(event.data.value)
        except DecodeError as error:
            description = f"{known.name}: {error}"
            field = f"{at}.data.value"
            raise about_field(ERROR_REASON_EVENT_MALFORMED, field, description) from None
        check(payload, ERROR_REASON_EVENT_INVALID, [here, FieldPathElement(field_name="data")])
        kept = Event()
        kept.CopyFrom(event)
        kept.data.type_url = f"type.googleapis.com/{known.name}"
        if not kept.HasField("partition_key"):
            key = known.key_of(payload)
            if not KEY.fullmatch(key):
                field = f"{at}.data.{'.'.join(known.key)}"
                description = "as a key: at most 512 characters, none of control"
                raise about_field(ERROR_REASON_EVENT_INVALID, field, description)
            if key:
                kept.partition_key = key
        return Accepted(index, kept, payload)

    def _allowed_type(self, log: Log | None, event: Event, at: str) -> EventType:
        name = event.data.type_url.rpartition("/")[2]
        if not NAME.fullmatch(name):
            field = f"{at}.data.type_url"
            raise about_field(ERROR_REASON_EVENT_MALFORMED, field, "must end in the name of a type")
        known = self._types.find(name)
        if known is None:
            raise about_field(
                ERROR_REASON_EVENT_TYPE_UNKNOWN,
                f"{at}.data.type_url",
                f'unknown event type "{name}"',
                {"type": name},
            )
        if log and not self._topics.takes(log, name):
            topic = log.topic.name
            raise about_field(
                ERROR_REASON_EVENT_TYPE_NOT_ALLOWED,
                f"{at}.data.type_url",
                f'topic "{topic}" doesn\'t take events of type {name}',
                {"type": name, "topic": topic},
            )
        return known


def require(request: Received | Fault) -> Received:
    """The request, where it could be decoded."""
    if isinstance(request, Fault):
        raise request
    return request


def wrapped(request: Received) -> PublishRequest:
    """The request that a message of a stream holds."""
    if not request.HasField("publish"):
        check(request, ERROR_REASON_REQUEST_INVALID)
    return request.publish


def check_importable(request: PublishRequest, first: PublishRequest) -> None:
    """Raises a Fault where a message says what isn't for Import, or what the first didn't."""
    if request.request_id:
        field, description = "request_id", "is not for Import"
    elif request.preconditions:
        field, description = "preconditions", "are not for Import"
    elif request.topic not in ("", first.topic):
        field, description = "topic", "must be that of the first message or empty"
    elif request.skip_invalid and not first.skip_invalid:
        field, description = "skip_invalid", "must be that of the first message or unset"
    else:
        return
    raise about_field(ERROR_REASON_REQUEST_INVALID, field, description)


def check_count(request: PublishRequest, most: int, where: str = "") -> None:
    if len(request.events) > most:
        description = f"must have at most {most} items{where}"
        metadata = {"limit": str(most)}
        raise about_field(ERROR_REASON_REQUEST_INVALID, "events", description, metadata)


def check_own_fields(request: PublishRequest) -> None:
    """Raises a Fault where a request breaks a rule, its events aside."""
    check_count(request, MAX_EVENTS)
    own = PublishRequest()
    own.CopyFrom(request)
    del own.events[:]
    if request.events:
        own.events.append(PLAIN_EVENT)
    check(own, ERROR_REASON_REQUEST_INVALID)
    check_subjects(request.preconditions)


def check_envelope(event: Event, here: FieldPathElement, at: str) -> None:
    """Raises a Fault where an event breaks a rule, its content aside."""
    # protovalidate takes milliseconds for an event, so that thousands would take too
    # long. Most need no look.
    plain = (
        PLAIN.fullmatch(event.id)
        and PLAIN.fullmatch(event.source)
        and event.HasField("data")
        and not (event.subject or event.partition_key or event.attributes)
    )
    if not plain:
        check(event, ERROR_REASON_EVENT_INVALID, [here])
    if not (MIN_SECONDS <= event.time.seconds <= MAX_SECONDS and 0 <= event.time.nanos < 10**9):
        description = "must be a time from year 1 to 9999"
        raise about_field(ERROR_REASON_EVENT_INVALID, f"{at}.time", description)


def count(response: PublishResponse, summary: ImportResponse) -> None:
    """Adds the response to a message to the summary of an import."""
    summary.topic = response.topic or summary.topic
    for receipt in response.receipts:
        if receipt.duplicate:
            summary.duplicate_count += 1
        else:
            summary.stored_count += 1
        lowest = summary.first_sequence or receipt.sequence
        summary.first_sequence = min(lowest, receipt.sequence)
        summary.last_sequence = max(summary.last_sequence, receipt.sequence)
    summary.refused_count += len(response.refused_events)
    room = MAX_REFUSED_EVENTS - len(summary.refused_events)
    summary.refused_events.extend(response.refused_events[:room])
