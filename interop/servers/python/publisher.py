"""tidings.v1.PublisherService."""

import copy
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import grpc
from buf.validate.validate_pb2 import FieldPath, FieldPathElement, Violation
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from tidings.v1.error_pb2 import (
    ERROR_REASON_EVENT_ID_CONFLICT,
    ERROR_REASON_EVENT_INVALID,
    ERROR_REASON_EVENT_MALFORMED,
    ERROR_REASON_EVENT_TOO_LARGE,
    ERROR_REASON_EVENT_TYPE_NOT_ALLOWED,
    ERROR_REASON_EVENT_TYPE_UNKNOWN,
    ERROR_REASON_KEY_PRECONDITION_UNSUPPORTED,
    ERROR_REASON_REQUEST_INVALID,
    ERROR_REASON_SEQUENCE_MISMATCH,
    ERROR_REASON_TOPIC_UNDETERMINED,
)
from tidings.v1.event_pb2 import Event
from tidings.v1.publisher_service_pb2 import (
    ImportRequest,
    ImportResponse,
    Precondition,
    PublishRequest,
    PublishResponse,
    PublishStreamRequest,
    PublishStreamResponse,
    Receipt,
    RefusedEvent,
)
from tidings.v1.publisher_service_pb2_grpc import PublisherServiceServicer

from eventtypes import EventType, EventTypes
from faults import Fault, about_field, check
from limits import MAX_EVENT_BYTES, MAX_EVENTS, MAX_EVENTS_BY_EVENT
from topics import Log, Stored, Topics

MAX_REFUSED_EVENTS = 100  # In the summary of an import.
MAX_SECONDS, MIN_SECONDS = 253_402_300_799, -62_135_596_800  # The years 1 to 9999.

# Breaks no rule, in any field of an event.
PLAIN = re.compile(r"[!-~]{1,256}")
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
KEY = re.compile(r"[^\x00-\x1f\x7f]{0,512}")
PLAIN_EVENT = Event(id="-", source="-", data=Any())

# The requests have the same fields, as far as each has them.
Received = TypeVar("Received", PublishStreamRequest, ImportRequest)
AnyRequest = PublishRequest | PublishStreamRequest | ImportRequest

PublishContext = grpc.aio.ServicerContext[PublishRequest, PublishResponse]
StreamContext = grpc.aio.ServicerContext[PublishStreamRequest, PublishStreamResponse]
ImportContext = grpc.aio.ServicerContext[ImportRequest, ImportResponse]


@dataclass(frozen=True)
class Accepted:
    """An event of a request that passed every check."""

    index: int
    event: Event
    payload: Message

    @property
    def identity(self) -> tuple[str, str]:
        return self.event.source, self.event.id


@dataclass
class Batch:
    """The events of a request, on their way into a topic."""

    log: Log
    request_id: str
    accepted: list[Accepted]

    def store(self, precondition: Precondition | None) -> list[Receipt]:
        """Stores the events, all or none, unless they are stored already."""
        return (
            self._store_each(precondition) if self.log.by_event else self._store_all(precondition)
        )

    def _store_all(self, precondition: Precondition | None) -> list[Receipt]:
        """Where requests are recognised."""
        identity = self.request_id or tuple(each.identity for each in self.accepted)
        stored = self.log.recognise(identity)
        duplicate = stored is not None
        if stored is not None:
            for each, there in zip(self.accepted, stored, strict=False):
                self._require_same(each, there)
            if len(stored) != len(self.accepted):
                raise self._conflict(self.accepted[0], stored[-1].sequence)
        else:
            self._expect(precondition)
            stored = [self.log.append(each.event, each.payload) for each in self.accepted]
            self.log.remember(identity, stored)
        return [
            Receipt(index=each.index, sequence=there.sequence, duplicate=duplicate)
            for each, there in zip(self.accepted, stored, strict=True)
        ]

    def _store_each(self, precondition: Precondition | None) -> list[Receipt]:
        """Where events are recognised one by one."""
        fresh: dict[tuple[str, str], Accepted] = {}
        places: dict[tuple[str, str], Stored] = {}
        for each in self.accepted:
            known = self.log.recognise(each.identity)
            if known:
                places[each.identity] = known[0]
                self._require_same(each, known[0])
            else:
                # Twice in this request is the same, or a conflict.
                first = fresh.setdefault(each.identity, each)
                self._require_same(each, Stored(0, first.event, first.payload))
        if fresh:
            self._expect(precondition)
        for identity, each in fresh.items():
            places[identity] = self.log.append(each.event, each.payload)
            self.log.remember(identity, [places[identity]])
        return [
            Receipt(
                index=each.index,
                sequence=places[each.identity].sequence,
                duplicate=fresh.get(each.identity) is not each,
            )
            for each in self.accepted
        ]

    def _require_same(self, sent: Accepted, stored: Stored) -> None:
        """Raises a Fault unless what is stored says what was sent."""
        if sent.event != stored.event and (
            without_content(sent.event) != without_content(stored.event)
            or sent.payload != stored.payload
        ):
            raise self._conflict(sent, stored.sequence)

    def _conflict(self, sent: Accepted, sequence: int) -> Fault:
        metadata = {"topic": self.log.topic.name, "sequence": str(sequence)}
        if self.request_id and not self.log.by_event:
            metadata["request_id"] = self.request_id
            message = f'request id "{self.request_id}" was used for other events'
        else:
            metadata |= {"id": sent.event.id, "source": sent.event.source}
            message = f'an event with id "{sent.event.id}" and other content is stored'
        return Fault(ERROR_REASON_EVENT_ID_CONFLICT, message, metadata)

    def _expect(self, precondition: Precondition | None) -> None:
        """Raises a Fault where the last event isn't the expected one."""
        if precondition is None:
            return
        key = precondition.partition_key
        actual = self.log.last_of_key.get(key, 0) if key else self.log.latest_sequence
        expected = precondition.expected_last_sequence
        if actual != expected:
            metadata = {"expected": str(expected), "actual": str(actual)}
            if key:
                metadata["partition_key"] = key
            message = f"the last sequence is {actual}, not {expected}"
            raise Fault(ERROR_REASON_SEQUENCE_MISMATCH, message, metadata)


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
        async for request in request_iterator:
            try:
                published = self.publish(require(request))
                yield PublishStreamResponse(batch=batch, published=published)
            except Fault as fault:
                yield PublishStreamResponse(batch=batch, error=fault.proto())
            batch += 1

    async def Import(  # noqa: N802
        self, request_iterator: AsyncIterator[ImportRequest | Fault], context: ImportContext
    ) -> ImportResponse:
        summary = ImportResponse()
        first: ImportRequest | None = None
        try:
            async for received in request_iterator:
                request = require(received)
                given = request.topic
                if first is None:
                    first = request
                elif given not in ("", first.topic):
                    reason = ERROR_REASON_REQUEST_INVALID
                    raise about_field(reason, "topic", "must be that of the first message or empty")
                # What the first message says, or its events declare, holds for all.
                request.topic = given or first.topic or summary.topic
                request.skip_invalid = first.skip_invalid
                response = self.publish(request, base=summary.received_count)
                summary.received_count += len(request.events)
                count(response, summary)
        except Fault as fault:
            fault.metadata["stored"] = str(summary.stored_count)
            raise
        return summary

    def publish(self, request: AnyRequest, base: int = 0) -> PublishResponse:
        """Stores the events of a request. Indexes in errors are counted from base."""
        check_own_fields(request)
        name = request.topic or self._declared_topic(request)
        log = self._topics.log(name) if name else None
        if log and log.by_event and len(request.events) > MAX_EVENTS_BY_EVENT:
            description = f"at most {MAX_EVENTS_BY_EVENT} items in a topic with DEDUPE_EVENT"
            raise about_field(ERROR_REASON_REQUEST_INVALID, "events", description)
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
        if not accepted:
            return response
        if log is None:
            raise about_field(ERROR_REASON_TOPIC_UNDETERMINED, "topic", "must be set")
        precondition = precondition_of(request, log, accepted)
        request_id = "" if isinstance(request, ImportRequest) else request.request_id
        response.receipts.extend(Batch(log, request_id, accepted).store(precondition))
        return response

    def _declared_topic(self, request: AnyRequest) -> str:
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
        if not kept.partition_key:
            kept.partition_key = known.key_of(payload)
            if not KEY.fullmatch(kept.partition_key):
                field = f"{at}.data.{'.'.join(known.key)}"
                description = "as a key: at most 512 characters, none of control"
                raise about_field(ERROR_REASON_EVENT_INVALID, field, description)
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
                f'the server has not been given the type "{name}"',
                {"type": name},
            )
        if log and log.topic.event_types and name not in log.topic.event_types:
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


def check_own_fields(request: AnyRequest) -> None:
    """Raises a Fault where a request breaks a rule, its events aside."""
    count = len(request.events)
    if count > MAX_EVENTS:
        # Told here, since every event would be checked besides.
        rule = "repeated.max_items"
        fault = about_field(
            ERROR_REASON_REQUEST_INVALID, "events", f"must have at most {MAX_EVENTS} items"
        )
        fault.fields[0].rule_id = rule
        field = FieldPath(elements=[FieldPathElement(field_name="events")])
        fault.violations = [Violation(field=field, rule_id=rule, message=fault.message)]
        raise fault
    own = copy.deepcopy(request)
    del own.events[:]
    if count > 0:
        own.events.append(PLAIN_EVENT)
    check(own, ERROR_REASON_REQUEST_INVALID)


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


def precondition_of(
    request: AnyRequest, log: Log, accepted: Sequence[Accepted]
) -> Precondition | None:
    """What a request expects, if anything."""
    if isinstance(request, ImportRequest) or not request.HasField("precondition"):
        return None
    key = request.precondition.partition_key
    if key and not log.by_event:
        name = log.topic.name
        message = f'topic "{name}" keeps no sequence of a key: its dedupe is not DEDUPE_EVENT'
        raise Fault(ERROR_REASON_KEY_PRECONDITION_UNSUPPORTED, message, {"topic": name})
    for each in accepted:
        if key and each.event.partition_key != key:
            description = f'events[{each.index}] has another key, "{each.event.partition_key}"'
            field = "precondition.partition_key"
            raise about_field(ERROR_REASON_REQUEST_INVALID, field, description)
    return request.precondition


def without_content(event: Event) -> Event:
    """The event with the type of its content only."""
    envelope = Event()
    envelope.CopyFrom(event)
    envelope.data.value = b""
    return envelope


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
