"""The client in Python. README.md in the directory above says what it does."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import tidings.v1.dead_letter_service_pb2
import tidings.v1.error_pb2
import tidings.v1.schema_service_pb2
import tidings.v1.server_service_pb2
import tidings.v1beta1.schema_service_pb2  # noqa: F401  # The vectors are of all messages.
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from tidings.conformance.v1.every_kind_pb2 import EveryKind
from tidings.options.v1.options_pb2 import TopicSettings
from tidings.v1.delivery_pb2 import Delivery
from tidings.v1.event_pb2 import Event, RecordedEvent
from tidings.v1.position_pb2 import (
    START_BOUNDARY_EARLIEST,
    START_BOUNDARY_NEW,
    StartPosition,
    StopPosition,
)
from tidings.v1.publisher_service_pb2 import PublishRequest
from tidings.v1.reader_service_pb2 import ReadRequest
from tidings.v1.settlement_pb2 import (
    NACK_KIND_RETRY,
    SETTLEMENT_STATUS_ALREADY_APPLIED,
    SETTLEMENT_STATUS_APPLIED,
    Ack,
    Nack,
    Settlement,
    SettlementStatus,
)
from tidings.v1.subscription_pb2 import RetryPolicy, Subscription
from tidings.v1.subscription_service_pb2 import CreateSubscriptionRequest
from tidings.v1.topic_pb2 import Topic
from tidings.v1.topic_service_pb2 import CreateTopicRequest, GetTopicRequest

import jsonform
from servers import PATIENCE, ConnectServer, GrpcServer, RefusedError, Server
from values import full, packed, values

SOURCE = "/interop"
DESCRIPTION = "interop"
TAILED = "tailed"  # The id of the event that is published while the topic is read.
EARLIEST = StartPosition(boundary=START_BOUNDARY_EARLIEST)
APPLIED = (SETTLEMENT_STATUS_APPLIED, SETTLEMENT_STATUS_ALREADY_APPLIED)


class UnexpectedError(Exception):
    """The server did something else than the scenario says."""


def require(holds: bool, otherwise: str) -> None:
    """Ends the step unless something holds."""
    if not holds:
        raise UnexpectedError(otherwise)


@dataclass
class Scenario:
    """One run of the steps."""

    server: Server
    topic: str
    golden: Path
    out: Path

    async def create_topic(self) -> None:
        request = CreateTopicRequest(
            topic=Topic(name=self.topic, settings=TopicSettings(description=DESCRIPTION))
        )
        await self.server.create_topic(request)
        response = await self.server.get_topic(GetTopicRequest(name=self.topic))
        got = response.topic.settings.description
        require(got == DESCRIPTION, f"the description is {got!r}, want {DESCRIPTION!r}")
        call = self.server.create_topic(request)
        await expect(call, "ALREADY_EXISTS", reason="TOPIC_ALREADY_EXISTS")

    async def publish(self) -> None:
        events = [Event(id=value.name, source=SOURCE, data=packed(value)) for value in values()]
        request = PublishRequest(topic=self.topic, events=events)
        first = (await self.server.publish(request)).receipts
        again = (await self.server.publish(request)).receipts
        sequences = [receipt.sequence for receipt in first]
        require(len(sequences) == len(events), f"{len(sequences)} receipts, want {len(events)}")
        require(sequences == sorted(set(sequences)), f"the sequences {sequences} don't increase")
        require(not any(receipt.duplicate for receipt in first), "a first receipt is a duplicate")
        repeated = [receipt.sequence for receipt in again]
        require(repeated == sequences, f"{repeated} when repeated, want {sequences}")
        require(all(receipt.duplicate for receipt in again), "a repetition is no duplicate")

    async def publish_invalid(self) -> None:
        value = full()
        value.email = "not-an-address"
        event = Event(id="refused", source=SOURCE, data=packed(value))
        await expect(
            self.server.publish(PublishRequest(topic=self.topic, events=[event])),
            "INVALID_ARGUMENT",
            reason="EVENT_INVALID",
            field="events[0].data.email",
        )

    async def read(self) -> None:
        stop = StopPosition(caught_up=True)
        request = ReadRequest(topic=self.topic, start=EARLIEST, stop=stop)
        events: list[RecordedEvent] = []
        async for frame in self.server.read(request):
            events += frame.events.events
        want = values()
        require(len(events) == len(want), f"{len(events)} events, want {len(want)}")
        for event, value in zip(events, want, strict=True):
            require_event(event.event, value.name, value)

    def from_now(self) -> ReadRequest:
        """Asks for what is stored from now on, without a bound."""
        return ReadRequest(topic=self.topic, start=StartPosition(boundary=START_BOUNDARY_NEW))

    async def tail(self) -> None:
        # Ends the call when the event has come.
        async with aclosing(self.server.read(self.from_now())) as frames:
            async for frame in frames:
                if frame.HasField("caught_up"):
                    await self.server.publish_one(self.topic, TAILED, full())
                for event in frame.events.events:
                    require_event(event.event, TAILED, full())
                    return
        raise UnexpectedError("the call ended before the event came")

    async def consume(self) -> None:
        retries = RetryPolicy(
            min_backoff=Duration(nanos=100_000_000), max_backoff=Duration(seconds=1)
        )
        subscription = Subscription(name=self.topic, topic=self.topic, retry_policy=retries)
        request = CreateSubscriptionRequest(subscription=subscription, start=EARLIEST)
        await self.server.create_subscription(request)
        want = sorted([TAILED, *(value.name for value in values())])
        acknowledged: list[str] = []
        attempts: list[int] = []  # Those of full.

        def decide(delivery: Delivery) -> Settlement:
            event_id = delivery.recorded.event.id
            if event_id == "full":
                attempts.append(delivery.attempt)
                if len(attempts) == 1:
                    nack = Nack(kind=NACK_KIND_RETRY)
                    return Settlement(delivery_token=delivery.delivery_token, nack=nack)
            acknowledged.append(event_id)
            return Settlement(delivery_token=delivery.delivery_token, ack=Ack())

        # One settlement more than events: full is settled twice.
        for result in await self.server.consume(self.topic, len(want) + 1, decide):
            status = SettlementStatus.Name(result.status)
            require(result.status in APPLIED, f"a settlement is {status}")
        require(attempts == [1, 2], f"the attempts of full are {attempts}, want 1 and 2")
        require(sorted(acknowledged) == want, f"acknowledged {acknowledged}, want {want}")

    async def exceed_deadline(self) -> None:
        async def read() -> None:
            async for _ in self.server.read(self.from_now(), timeout=0.3):
                pass

        await expect(read(), "DEADLINE_EXCEEDED")

    async def cancel(self) -> None:
        await expect(self.server.read_and_cancel(self.from_now()), "CANCELLED")

    async def copy_golden(self) -> None:
        for path, message in self.vectors(".binpb"):
            message.ParseFromString(path.read_bytes())
            (self.out / path.name).write_bytes(message.SerializeToString())

    async def copy_golden_json(self) -> None:
        for path, message in self.vectors(".binpb"):
            message.ParseFromString(path.read_bytes())
            text = json_format.MessageToJson(message)
            (self.out / f"{path.stem}.json").write_text(text, encoding="utf-8")
        for path, message in self.vectors(".json"):
            jsonform.parse(path.read_bytes(), message)
            (self.out / f"{path.name}.binpb").write_bytes(message.SerializeToString())

    def vectors(self, suffix: str) -> list[tuple[Path, Message]]:
        """The files LABEL-NAME, each with an empty message of the type NAME."""
        pool = descriptor_pool.Default()
        vectors = []
        for path in sorted(self.golden.glob(f"*{suffix}")):
            _, _, name = path.stem.partition("-")
            descriptor = pool.FindMessageTypeByName(name)
            vectors.append((path, message_factory.GetMessageClass(descriptor)()))
        require(bool(vectors), f"there are no vectors in {self.golden}")
        return vectors


async def expect(call: Awaitable[object], code: str, reason: str = "", field: str = "") -> None:
    """Wants a call to be refused with a code and, where they are given, with a reason
    and a field that violates a rule."""
    try:
        await call
    except RefusedError as refused:
        info, violations = ErrorInfo(), BadRequest()
        for detail in refused.details:
            # Each takes the details of its own type.
            _ = detail.Unpack(info) or detail.Unpack(violations)
        fields = [violation.field for violation in violations.field_violations]
        require(
            refused.code == code and reason in ("", info.reason) and (not field or field in fields),
            f"expected {code} {reason} {field}, got {info.reason} {fields}: {refused}",
        )
    else:
        raise UnexpectedError(f"expected {code}, got OK")


def require_event(event: Event, event_id: str, want: EveryKind) -> None:
    """Wants an event to have an id and to hold a value."""
    got = EveryKind()
    require(event.data.Unpack(got), f"the event {event.id} is a {event.data.TypeName()}")
    require(event.id == event_id and got == want, f"{event.id} holds {got}, want {event_id}")


@asynccontextmanager
async def connect(transport: str) -> AsyncIterator[Server]:
    """The server over a transport."""
    if transport == "grpc":
        address = os.environ["TIDINGS_GRPC"]
        async with grpc.aio.insecure_channel(address) as channel:
            yield GrpcServer(address, channel)
    else:
        yield ConnectServer(os.environ["TIDINGS_URL"], transport)


async def run() -> bool:
    """Does every step, and returns whether none failed."""
    ok = True
    async with connect(os.environ["TIDINGS_TRANSPORT"]) as server:
        scenario = Scenario(
            server,
            os.environ["TIDINGS_TOPIC"],
            Path(os.environ["TIDINGS_GOLDEN"]),
            Path(os.environ["TIDINGS_OUT"]),
        )
        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "topic": scenario.create_topic,
            "publish": scenario.publish,
            "refused": scenario.publish_invalid,
            "read": scenario.read,
            "tail": scenario.tail,
            "consume": scenario.consume,
            "deadline": scenario.exceed_deadline,
            "cancel": scenario.cancel,
            "golden": scenario.copy_golden,
            "golden-json": scenario.copy_golden_json,
        }
        for name, step in steps.items():
            try:
                async with asyncio.timeout(PATIENCE):
                    await step()
            except Exception as error:  # What goes wrong is the step's result.
                print(name, "fail:", repr(error).replace("\n", " "))
                ok = False
            else:
                print(name, "ok")
    return ok


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(run()) else 1)
