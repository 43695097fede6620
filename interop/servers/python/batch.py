"""Events of a request, on their way into a topic."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from tidings.v1.error_pb2 import (
    ERROR_REASON_EVENT_ID_CONFLICT,
    ERROR_REASON_REQUEST_ID_CONFLICT,
    ERROR_REASON_REQUEST_INVALID,
    ERROR_REASON_SEQUENCE_MISMATCH,
    ErrorReason,
)
from tidings.v1.event_pb2 import Event
from tidings.v1.precondition_pb2 import Precondition
from tidings.v1.receipt_pb2 import Receipt

from faults import Fault, about_field
from topics import Log, Stored


@dataclass(frozen=True)
class Accepted:
    """An event of a request that passed every check."""

    index: int
    event: Event
    payload: Message

    @property
    def identity(self) -> tuple[str, str]:
        return identity(self.event)


def identity(event: Event) -> tuple[str, str]:
    return event.source, event.id


@dataclass
class Batch:
    """What a request stores, and what it is recognised by."""

    log: Log
    request_id: str
    sent: Sequence[Event]  # All of its events, valid or not.
    accepted: list[Accepted]
    preconditions: Sequence[Precondition]

    def store(self) -> list[Receipt]:
        """Stores the events, all or none, unless they are stored already."""
        if not self.accepted:  # Nothing is remembered.
            self._expect()
            return []
        return self._store_each() if self.log.by_event else self._store_all()

    def _store_all(self) -> list[Receipt]:
        """Where requests are recognised."""
        name: Hashable = self.request_id or tuple(identity(event) for event in self.sent)
        stored = self.log.recognise(name)
        duplicate = stored is not None
        if stored is None:
            self._expect()
            stored = [self.log.append(each.event, each.payload) for each in self.accepted]
            self.log.remember(name, stored)
        elif len(stored) != len(self.accepted):  # Corrected, or under another request's id.
            raise self._conflict(stored[0])
        for each, there in zip(self.accepted, stored, strict=True):
            self._require_same(each, there)
        return [
            Receipt(index=each.index, sequence=there.sequence, duplicate=duplicate)
            for each, there in zip(self.accepted, stored, strict=True)
        ]

    def _store_each(self) -> list[Receipt]:
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
            self._expect()
        for name, each in fresh.items():
            places[name] = self.log.append(each.event, each.payload)
            self.log.remember(name, [places[name]])
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
            envelope(sent.event) != envelope(stored.event) or sent.payload != stored.payload
        ):
            raise self._conflict(stored)

    def _conflict(self, stored: Stored) -> Fault:
        metadata = {"topic": self.log.topic.name, "sequence": str(stored.sequence)}
        reason: ErrorReason.ValueType = ERROR_REASON_EVENT_ID_CONFLICT
        if self.request_id and not self.log.by_event:
            reason = ERROR_REASON_REQUEST_ID_CONFLICT
            metadata["request_id"] = self.request_id
            message = f'request id "{self.request_id}" was used for other events'
        else:
            metadata |= {"id": stored.event.id, "source": stored.event.source}
            message = f'an event with id "{stored.event.id}" and other content is stored'
        return Fault(reason, message, metadata)

    def _expect(self) -> None:
        """Raises a Fault where a precondition doesn't hold. Events stay in this server, so
        that a key or a topic has one if it has a last sequence."""
        for i, each in enumerate(self.preconditions):
            key = each.partition_key
            last = self.log.last_of_key.get(key, 0) if key else self.log.latest_sequence
            if each.WhichOneof("expectation") == "exists":
                holds = each.exists == (last > 0)
                expected = "some" if each.exists else "none"
            else:
                holds = each.last_sequence == last
                expected = str(each.last_sequence)
            if holds:
                continue
            actual = str(last) if last else "none"
            metadata = {"expected": expected, "actual": actual}
            if key:
                metadata["partition_key"] = key
            description = f"the last event is {actual}, expected was {expected}"
            reason = ERROR_REASON_SEQUENCE_MISMATCH
            raise about_field(reason, f"preconditions[{i}]", description, metadata)


def check_subjects(preconditions: Sequence[Precondition]) -> None:
    """Raises a Fault where two preconditions are about the same."""
    seen: dict[str, int] = {}
    for i, each in enumerate(preconditions):
        # Without a key it is about the topic.
        first = seen.setdefault(each.partition_key, i)
        if first != i:
            description = f"is about the same as preconditions[{first}]"
            raise about_field(ERROR_REASON_REQUEST_INVALID, f"preconditions[{i}]", description)


def envelope(event: Event) -> Event:
    """What counts of the event besides its content: the trace that it was sent in doesn't."""
    rest = Event()
    rest.CopyFrom(event)
    rest.data.value = b""
    for name in ("traceparent", "tracestate"):
        rest.attributes.pop(name, None)
    return rest
