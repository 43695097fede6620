"""Topics, and tidings.v1.TopicService."""

import base64
import binascii
import itertools
import time
from dataclasses import dataclass, field

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from tidings.options.v1.options_pb2 import DEDUPE_EVENT, DEDUPE_REQUEST, Retention, TopicSettings
from tidings.v1.error_pb2 import (
    ERROR_REASON_EVENT_TYPE_UNKNOWN,
    ERROR_REASON_PAGE_TOKEN_INVALID,
    ERROR_REASON_REQUEST_INVALID,
    ERROR_REASON_TOPIC_ALREADY_EXISTS,
    ERROR_REASON_TOPIC_ETAG_MISMATCH,
    ERROR_REASON_TOPIC_NOT_FOUND,
)
from tidings.v1.event_pb2 import Event
from tidings.v1.topic_pb2 import Topic, TopicStatistics
from tidings.v1.topic_service_pb2 import (
    CreateTopicRequest,
    CreateTopicResponse,
    DeleteTopicRequest,
    DeleteTopicResponse,
    GetTopicRequest,
    GetTopicResponse,
    ListTopicsRequest,
    ListTopicsResponse,
    UpdateTopicRequest,
    UpdateTopicResponse,
)
from tidings.v1.topic_service_pb2_grpc import TopicServiceServicer

from eventtypes import EventTypes
from faults import Fault, about_field, check
from update import update

FIRST_SEQUENCE = 4096
DEFAULT_DEDUPE_WINDOW = Duration(seconds=120)
DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
ANY_TYPE = "*"

Context = grpc.aio.ServicerContext


@dataclass(frozen=True)
class Stored:
    """An event that a topic holds, with its content decoded."""

    sequence: int
    event: Event
    payload: Message


@dataclass
class Log:
    """A topic with its events. They stay until the topic is deleted: this server keeps
    nothing that could grow old."""

    topic: Topic
    events: list[Stored] = field(default_factory=list)
    stored_bytes: int = 0
    latest_publish_time: Timestamp | None = None
    last_of_key: dict[str, int] = field(default_factory=dict)
    _next: int = FIRST_SEQUENCE
    # What is recognised, and until when by time.monotonic.
    _identities: dict[object, tuple[float, list[Stored]]] = field(default_factory=dict)

    @property
    def by_event(self) -> bool:
        """Events are recognised one by one."""
        return bool(self.topic.settings.dedupe == DEDUPE_EVENT)

    @property
    def latest_sequence(self) -> int:
        return self.events[-1].sequence if self.events else 0

    def recognise(self, identity: object) -> list[Stored] | None:
        """What was stored under an identity within the dedupe window."""
        present = time.monotonic()
        # They were remembered in this order, and for the same time unless that was changed.
        while self._identities:
            oldest = next(iter(self._identities))
            if self._identities[oldest][0] > present:
                break
            del self._identities[oldest]
        until, stored = self._identities.get(identity, (present, None))
        return stored if until > present else None

    def append(self, event: Event, payload: Message) -> Stored:
        """Stores an event."""
        stored = Stored(self._next, event, payload)
        self._next += 1
        self.events.append(stored)
        self.stored_bytes += event.ByteSize()
        self.latest_publish_time = now()
        if event.partition_key:
            self.last_of_key[event.partition_key] = stored.sequence
        return stored

    def remember(self, identity: object, stored: list[Stored]) -> None:
        """Makes an identity recognised for the dedupe window, which is never longer than
        events are kept."""
        settings = self.topic.settings
        nanoseconds = settings.dedupe_window.ToNanoseconds()
        if settings.retention.HasField("max_age"):
            nanoseconds = min(nanoseconds, settings.retention.max_age.ToNanoseconds())
        window = nanoseconds / 1e9
        self._identities[identity] = (time.monotonic() + window, stored)


class Topics(TopicServiceServicer):
    """tidings.v1.TopicService."""

    def __init__(self, types: EventTypes) -> None:
        self._types = types
        self._logs: dict[str, Log] = {}
        self._etags = itertools.count(1)
        for name in types.topics():
            self._logs[name] = Log(self._new(Topic(name=name)))

    def log(self, name: str) -> Log:
        """The topic of a name, or a Fault."""
        try:
            return self._logs[name]
        except KeyError:
            reason = ERROR_REASON_TOPIC_NOT_FOUND
            raise Fault(reason, f'topic "{name}" doesn\'t exist', {"topic": name}) from None

    async def CreateTopic(  # noqa: N802
        self,
        request: CreateTopicRequest,
        context: Context[CreateTopicRequest, CreateTopicResponse],
    ) -> CreateTopicResponse:
        check(request, ERROR_REASON_REQUEST_INVALID)
        name = request.topic.name
        self._know(request.topic.settings)
        if name in self._logs:
            reason = ERROR_REASON_TOPIC_ALREADY_EXISTS
            raise Fault(reason, f'topic "{name}" exists', {"topic": name})
        topic = self._new(request.topic)
        self._logs[name] = Log(topic)
        return CreateTopicResponse(topic=topic)

    async def GetTopic(  # noqa: N802
        self, request: GetTopicRequest, context: Context[GetTopicRequest, GetTopicResponse]
    ) -> GetTopicResponse:
        check(request, ERROR_REASON_REQUEST_INVALID)
        log = self.log(request.name)
        response = GetTopicResponse(topic=log.topic)
        response.topic.statistics.CopyFrom(
            TopicStatistics(
                earliest_sequence=log.events[0].sequence if log.events else 0,
                latest_sequence=log.latest_sequence,
                stored_bytes=log.stored_bytes,
                latest_publish_time=log.latest_publish_time,
                event_count=len(log.events),
            )
        )
        return response

    async def ListTopics(  # noqa: N802
        self, request: ListTopicsRequest, context: Context[ListTopicsRequest, ListTopicsResponse]
    ) -> ListTopicsResponse:
        check(request, ERROR_REASON_REQUEST_INVALID)
        after = read_token(request.page_token)
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        names = sorted(name for name in self._logs if name > after)
        page = names[:size]
        token = write_token(page[-1]) if len(names) > size else ""
        topics = [self._logs[name].topic for name in page]
        return ListTopicsResponse(topics=topics, next_page_token=token)

    async def UpdateTopic(  # noqa: N802
        self,
        request: UpdateTopicRequest,
        context: Context[UpdateTopicRequest, UpdateTopicResponse],
    ) -> UpdateTopicResponse:
        check(request, ERROR_REASON_REQUEST_INVALID)
        wanted = request.topic
        log = self._at(wanted.name, wanted.etag)
        settings = TopicSettings()
        settings.CopyFrom(log.topic.settings)
        updated = Topic(name=log.topic.name, settings=settings)
        update(updated, wanted, request.update_mask, "topic")
        complete(updated.settings)
        if updated.settings == log.topic.settings:
            return UpdateTopicResponse(topic=log.topic)
        if updated.settings.event_types != log.topic.settings.event_types:
            self._know(updated.settings)
        updated.create_time.CopyFrom(log.topic.create_time)
        self._settle(updated)
        log.topic = updated
        return UpdateTopicResponse(topic=updated)

    async def DeleteTopic(  # noqa: N802
        self,
        request: DeleteTopicRequest,
        context: Context[DeleteTopicRequest, DeleteTopicResponse],
    ) -> DeleteTopicResponse:
        check(request, ERROR_REASON_REQUEST_INVALID)
        self._at(request.name, request.etag)
        del self._logs[request.name]
        return DeleteTopicResponse()

    def _at(self, name: str, etag: str) -> Log:
        """The topic of a name, whose etag, unless the given one is empty, is that."""
        log = self.log(name)
        present = log.topic.etag
        if etag not in ("", present):
            reason = ERROR_REASON_TOPIC_ETAG_MISMATCH
            message = f'topic "{name}" has been changed: its etag is now {present}'
            raise Fault(reason, message, {"topic": name, "etag": present})
        return log

    def takes(self, log: Log, name: str) -> bool:
        """Whether a topic takes the events of a type: those that it names or, where it
        names none, that declare it, if there are such."""
        topic = log.topic
        named = topic.settings.event_types or self._types.declaring(topic.name) or [ANY_TYPE]
        return ANY_TYPE in named or name in named

    def _know(self, settings: TopicSettings) -> None:
        """Raises a Fault where a topic is to take a type that isn't known."""
        for i, name in enumerate(settings.event_types):
            if name != ANY_TYPE and self._types.find(name) is None:
                raise about_field(
                    ERROR_REASON_EVENT_TYPE_UNKNOWN,
                    f"topic.settings.event_types[{i}]",
                    f'unknown event type "{name}"',
                    {"type": name},
                )

    def _new(self, asked: Topic) -> Topic:
        """A topic as it is asked for."""
        topic = Topic(name=asked.name, settings=asked.settings)
        complete(topic.settings)
        self._settle(topic)
        topic.create_time.CopyFrom(topic.update_time)
        return topic

    def _settle(self, topic: Topic) -> None:
        """Fills what follows from a change."""
        topic.etag = str(next(self._etags))
        topic.update_time.CopyFrom(now())


def complete(settings: TopicSettings) -> None:
    """Gives what is unset its default."""
    settings.dedupe = settings.dedupe or DEDUPE_REQUEST
    if not settings.HasField("dedupe_window"):
        settings.dedupe_window.CopyFrom(DEFAULT_DEDUPE_WINDOW)
    if settings.retention == Retention():
        settings.ClearField("retention")


def now() -> Timestamp:
    timestamp = Timestamp()
    timestamp.GetCurrentTime()
    return timestamp


TOKEN_PREFIX = "topics after "


def write_token(name: str) -> str:
    """The token of the page after the topic of a name."""
    return base64.urlsafe_b64encode(f"{TOKEN_PREFIX}{name}".encode()).decode()


def read_token(token: str) -> str:
    """The name after which a page begins. Empty: it is the first."""
    if not token:
        return ""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    if not text.startswith(TOKEN_PREFIX):
        raise about_field(
            ERROR_REASON_PAGE_TOKEN_INVALID,
            "page_token",
            "must be the next_page_token of a response to the same request",
        )
    return text.removeprefix(TOKEN_PREFIX)
