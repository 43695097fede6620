"""The event types that the server has been given."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.message import Message
from tidings.options.v1 import options_pb2


@dataclass(frozen=True)
class EventType:
    """A message that can be published."""

    message: type[Message]
    topic: str  # That it declares, or empty.
    key: tuple[str, ...]  # The path of the field that becomes the partition key.

    @property
    def name(self) -> str:
        return self.message.DESCRIPTOR.full_name

    def key_of(self, payload: Message) -> str:
        """The partition key of an event, or an empty one."""
        if not self.key:
            return ""
        for name in self.key[:-1]:
            if not payload.HasField(name):
                return ""
            payload = getattr(payload, name)
        field = payload.DESCRIPTOR.fields_by_name[self.key[-1]]
        if all(field != present for present, _ in payload.ListFields()):
            return ""
        value = getattr(payload, field.name)
        if field.enum_type:
            known = field.enum_type.values_by_number.get(value)
            return known.name if known else str(value)
        return str(value).lower() if isinstance(value, bool) else str(value)


class EventTypes:
    """Event types by name."""

    def __init__(self, files: Iterable[FileDescriptor]) -> None:
        self._types: dict[str, EventType] = {}
        for file in files:
            for descriptor in messages(file.message_types_by_name.values()):
                options = descriptor.GetOptions().Extensions[options_pb2.event]
                self._types[descriptor.full_name] = EventType(
                    message_factory.GetMessageClass(descriptor),
                    options.topic,
                    tuple(options.key.split(".")) if options.key else (),
                )

    def find(self, name: str) -> EventType | None:
        """The type of a full name, or of a URL that ends in one."""
        return self._types.get(name.rpartition("/")[2])

    def topics(self) -> set[str]:
        """The topics that types declare."""
        return {event_type.topic for event_type in self._types.values() if event_type.topic}

    def declaring(self, topic: str) -> list[str]:
        """The types that declare a topic."""
        return [name for name, event_type in self._types.items() if event_type.topic == topic]


def messages(descriptors: Iterable[Descriptor]) -> Iterator[Descriptor]:
    """The messages and those in them, without the entries of maps."""
    for descriptor in descriptors:
        if not descriptor.GetOptions().map_entry:
            yield descriptor
            yield from messages(descriptor.nested_types)
