"""The values that are published, in order. values/*.json above says what they are."""

import calendar
import math
import sys

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import Int64Value
from tidings.conformance.v1.every_kind_pb2 import (
    COLOUR_GREEN,
    COLOUR_INFRARED,
    COLOUR_RED,
    EveryKind,
    Part,
)

from jsonform import MAX_FLOAT

MAX_INT32, MIN_INT32 = 2**31 - 1, -(2**31)
MAX_INT64, MIN_INT64 = 2**63 - 1, -(2**63)
MAX_UINT32, MAX_UINT64 = 2**32 - 1, 2**64 - 1
MAX_DURATION = 315_576_000_000  # In seconds.


def packed(message: Message) -> Any:
    """The message with its type beside it."""
    data = Any()
    data.Pack(message)
    return data


def instant(*date_and_time: int, nanos: int = 0) -> Timestamp:
    """The instant of (year, month, day, hour, minute, second) in UTC."""
    return Timestamp(seconds=calendar.timegm(date_and_time), nanos=nanos)


def values() -> list[EveryKind]:
    """All values. Each has its name in `name`."""
    return [full(), maximal(), minimal(), empty(), unicode()]


def full() -> EveryKind:
    """The value in which every field has a value, and one of the choice."""
    structure = Struct()
    structure.update({"list": [1, "two", None, True], "nested": {"key": "value"}})
    return EveryKind(
        name="full",
        email="ada@example.com",
        double_value=1.5,
        float_value=-2.25,
        int32_value=-32,
        int64_value=-64,
        uint32_value=32,
        uint64_value=64,
        sint32_value=-320,
        sint64_value=-640,
        fixed32_value=3200,
        fixed64_value=6400,
        sfixed32_value=-3200,
        sfixed64_value=-6400,
        bool_value=True,
        string_value="text",
        bytes_value=bytes([0, 1, 2, 255]),
        colour=COLOUR_GREEN,
        optional_number=7,
        optional_text="there",
        part=Part(label="outer", count=1, parts=[Part(label="inner", count=2)]),
        numbers=[1, -2, 3],
        texts=["one", "two"],
        parts=[Part(label="first"), Part(label="second", count=2)],
        colours=[COLOUR_RED, COLOUR_INFRARED],
        texts_by_text={"a": "1", "b": "2"},
        parts_by_number={1: Part(label="one"), -1: Part(label="minus one")},
        numbers_by_truth={True: 1, False: 0},
        chosen_part=Part(label="chosen"),
        timestamp=instant(2026, 11, 22, 12, 34, 56, nanos=789_012_345),
        duration=Duration(seconds=-1, nanos=-500_000_000),
        wrapped_number=Int64Value(value=0),
        object=structure,
        any=packed(Part(label="any", count=3)),
    )


def maximal() -> EveryKind:
    """The highest value of each kind."""
    return EveryKind(
        name="max",
        double_value=sys.float_info.max,
        float_value=MAX_FLOAT,
        int32_value=MAX_INT32,
        int64_value=MAX_INT64,
        uint32_value=MAX_UINT32,
        uint64_value=MAX_UINT64,
        sint32_value=MAX_INT32,
        sint64_value=MAX_INT64,
        fixed32_value=MAX_UINT32,
        fixed64_value=MAX_UINT64,
        sfixed32_value=MAX_INT32,
        sfixed64_value=MAX_INT64,
        optional_number=MAX_INT32,
        numbers=[MAX_INT64, 2**53 + 1],
        parts_by_number={MAX_INT64: Part(label="max", count=MAX_INT32)},
        chosen_number=MAX_INT64,
        timestamp=instant(9999, 12, 31, 23, 59, 59, nanos=999_999_999),
        duration=Duration(seconds=MAX_DURATION),
        wrapped_number=Int64Value(value=MAX_INT64),
    )


def minimal() -> EveryKind:
    """The lowest value of each kind, or the one next to 0."""
    return EveryKind(
        name="min",
        double_value=math.ulp(0.0),
        float_value=-MAX_FLOAT,
        int32_value=MIN_INT32,
        int64_value=MIN_INT64,
        sint32_value=MIN_INT32,
        sint64_value=MIN_INT64,
        sfixed32_value=MIN_INT32,
        sfixed64_value=MIN_INT64,
        optional_number=MIN_INT32,
        numbers=[MIN_INT64, -(2**53 + 1)],
        parts_by_number={MIN_INT64: Part(label="min", count=MIN_INT32)},
        chosen_number=MIN_INT64,
        timestamp=instant(1, 1, 1, 0, 0, 0),
        duration=Duration(seconds=-MAX_DURATION),
        wrapped_number=Int64Value(value=MIN_INT64),
    )


def empty() -> EveryKind:
    """What is there and empty."""
    return EveryKind(
        name="empty",
        optional_number=0,
        optional_text="",
        part=Part(),
        parts=[Part()],
        texts=[""],
        chosen_text="",
        wrapped_number=Int64Value(value=0),
        object=Struct(),
    )


def unicode() -> EveryKind:
    """Text that is easily got wrong."""
    return EveryKind(
        name="unicode",
        string_value='Grüße, 世界, עולם, 🌍, e\u0301, "\\/\n',
        texts=["🇪🇺", "\ufeff", "\u2028", "👩\u200d👩\u200d👧"],
        texts_by_text={"ключ": "значение", "鍵": "値"},
        chosen_text="𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
        bytes_value="ÿ🌍".encode(),
    )
