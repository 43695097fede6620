"""Changes of a resource, after AIP-134."""

from collections.abc import Sequence
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from tidings.options.v1 import field_behavior_pb2
from tidings.options.v1.field_behavior_pb2 import (
    FIELD_BEHAVIOR_IMMUTABLE,
    FIELD_BEHAVIOR_UNSPECIFIED,
    FieldBehavior,
)
from tidings.v1.error_pb2 import ERROR_REASON_FIELD_IMMUTABLE, ERROR_REASON_UPDATE_MASK_INVALID

from faults import Fault, about_field

EVERYTHING = "*"
# Messages whose fields are settings of their own, rather than one value together.
GROUPS = ("tidings.options.v1.TopicSettings", "tidings.options.v1.Retention")


def update(resource: Message, wanted: Message, mask: FieldMask, name: str) -> None:
    """Changes what the mask names to what it is in wanted. Without a mask, what is set
    there is merged. name is the field of the request that holds the resource."""
    refuse_immutable(resource, wanted, name)
    if not mask.paths:
        merge(resource, wanted)
    elif list(mask.paths) == [EVERYTHING]:
        replace(resource, wanted)
    else:
        for i, path in enumerate(mask.paths):
            why = "must stand alone" if path == EVERYTHING else unfit(schema(resource), path)
            if why:
                place = f"update_mask.paths[{i}]"
                raise about_field(ERROR_REASON_UPDATE_MASK_INVALID, place, f'"{path}" {why}')
            set_path(resource, wanted, path.split("."), f"{name}.{path}")


def schema(message: Message) -> Descriptor:
    """The type of a message, which has another class where it is implemented in C."""
    return cast(Descriptor, message.DESCRIPTOR)


def behavior(field: FieldDescriptor) -> FieldBehavior.ValueType:
    behavior: FieldBehavior.ValueType = field.GetOptions().Extensions[
        field_behavior_pb2.field_behavior
    ]
    return behavior


def changeable(field: FieldDescriptor) -> bool:
    """An update can change the field. An etag is what the update is held to."""
    return behavior(field) == FIELD_BEHAVIOR_UNSPECIFIED and field.name != "etag"


def group(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name in GROUPS


def immutable(place: str) -> Fault:
    return about_field(ERROR_REASON_FIELD_IMMUTABLE, place, "can't be changed after creation")


def refuse_immutable(resource: Message, wanted: Message, at: str) -> None:
    """Raises a Fault where another value is set than that of what can't change."""
    for field, value in wanted.ListFields():
        below = f"{at}.{field.name}"
        if group(field):
            refuse_immutable(getattr(resource, field.name), value, below)
        elif behavior(field) == FIELD_BEHAVIOR_IMMUTABLE and value != getattr(resource, field.name):
            raise immutable(below)


def merge(into: Message, wanted: Message) -> None:
    for field, value in wanted.ListFields():
        if not changeable(field):
            continue
        if group(field):
            getattr(into, field.name).SetInParent()
            merge(getattr(into, field.name), value)
        else:
            assign(into, wanted, field)


def replace(into: Message, wanted: Message) -> None:
    for field in schema(into).fields:
        if not changeable(field):
            continue
        if group(field):
            replace(getattr(into, field.name), getattr(wanted, field.name))
        else:
            assign(into, wanted, field)


def unfit(descriptor: Descriptor, path: str) -> str:
    """Why a path names nothing that an update may name, or nothing."""
    *groups, last = path.split(".")
    for each in groups:
        field = descriptor.fields_by_name.get(each)
        if field is None or field.message_type is None or not group(field):
            return "is not a field that can be named"
        descriptor = field.message_type
    field = descriptor.fields_by_name.get(last)
    if field is None:
        return "is not a field that can be named"
    if changeable(field) or behavior(field) == FIELD_BEHAVIOR_IMMUTABLE:
        return ""
    return "is set by the server"


def set_path(into: Message, wanted: Message, path: Sequence[str], place: str) -> None:
    field = schema(into).fields_by_name[path[0]]
    if len(path) > 1:
        set_path(getattr(into, path[0]), getattr(wanted, path[0]), path[1:], place)
    elif group(field):
        replace(getattr(into, path[0]), getattr(wanted, path[0]))
    elif changeable(field):
        assign(into, wanted, field)
    elif not same(into, wanted, field):
        raise immutable(place)


def same(into: Message, wanted: Message, field: FieldDescriptor) -> bool:
    """A field that can't change is asked to have the value that it has. Of an enum, 0
    stands for its first value."""
    asked = getattr(wanted, field.name)
    if field.enum_type and asked == 0:
        asked = field.enum_type.values[1].number
    return bool(asked == getattr(into, field.name))


def assign(into: Message, wanted: Message, field: FieldDescriptor) -> None:
    """Sets a field to what it is in wanted, also where that is nothing."""
    into.ClearField(field.name)
    only = type(wanted)()
    only.CopyFrom(wanted)
    for each, _ in wanted.ListFields():
        if each.name != field.name:
            only.ClearField(each.name)
    into.MergeFrom(only)
