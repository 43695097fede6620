"""JSON as protobuf has it, with every float that there is.

json_format refuses the largest float in its shortest form, 3.4028235e+38, which
it writes itself and which other languages write: as a double it is larger than
that float (https://github.com/protocolbuffers/protobuf/issues/8336).
"""

import json
from decimal import Decimal
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

MAX_FLOAT = float.fromhex("0x1.fffffep+127")
# What is not below this is rounded to infinity.
FLOAT_OVERFLOW = float.fromhex("0x1.ffffffp+127")

AnyMessage = TypeVar("AnyMessage", bound=Message)


def parse(text: str | bytes | bytearray, message: AnyMessage) -> AnyMessage:
    """Reads a message."""
    return json_format.ParseDict(json.loads(text, parse_float=number), message)


def number(text: str) -> float | Decimal:
    """A number, in the one form that json_format doesn't compare with the largest
    float where it is rounded to that."""
    value = float(text)
    return Decimal(text) if MAX_FLOAT < abs(value) < FLOAT_OVERFLOW else value


class Codec:
    """JSON for connectrpc."""

    def name(self) -> str:
        return "json"

    def encode(self, message: Message) -> bytes:
        return json_format.MessageToJson(message, indent=None).encode()

    def decode(self, data: bytes | bytearray, message: AnyMessage) -> AnyMessage:
        return parse(data, message)
