"""The server over each transport: grpcio for gRPC, connectrpc for the others.

A program of its own would take one of them and call it directly.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import grpc
from connectrpc.client import ConnectClient
from connectrpc.codec import proto_binary_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo
from connectrpc.protocol import ProtocolType
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from grpc_status import rpc_status
from pyqwest import Client, HTTPTransport, HTTPVersion
from tidings.v1.consumer_service_pb2 import (
    ConsumeOpen,
    ConsumeRequest,
    ConsumeResponse,
    ReceiveRequest,
    ReceiveResponse,
    SettleRequest,
    SettleResponse,
)
from tidings.v1.delivery_pb2 import Delivery
from tidings.v1.event_pb2 import Event
from tidings.v1.publisher_service_pb2 import PublishRequest, PublishResponse
from tidings.v1.publisher_service_pb2_grpc import PublisherServiceStub
from tidings.v1.reader_service_pb2 import ReadRequest, ReadResponse
from tidings.v1.reader_service_pb2_grpc import ReaderServiceStub
from tidings.v1.settlement_pb2 import Settlement, SettlementBatch, SettlementResult
from tidings.v1.subscription_service_pb2 import (
    CreateSubscriptionRequest,
    CreateSubscriptionResponse,
)
from tidings.v1.subscription_service_pb2_grpc import SubscriptionServiceStub
from tidings.v1.topic_service_pb2 import (
    CreateTopicRequest,
    CreateTopicResponse,
    GetTopicRequest,
    GetTopicResponse,
)
from tidings.v1.topic_service_pb2_grpc import TopicServiceStub

import consumer
import jsonform

PATIENCE = 10.0  # How long a call may take unless it says otherwise, in seconds.

Decide = Callable[[Delivery], Settlement]
Batches = asyncio.Queue[SettlementBatch | None]
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class RefusedError(Exception):
    """A call that ended with another code than OK, with the details of its error."""

    def __init__(self, code: str, message: str | None, details: Iterable[Any] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.details = list(details)


class Server(Protocol):
    """What the scenario calls. Every call raises RefusedError."""

    async def create_topic(self, request: CreateTopicRequest) -> CreateTopicResponse: ...

    async def get_topic(self, request: GetTopicRequest) -> GetTopicResponse: ...

    async def publish(self, request: PublishRequest) -> PublishResponse: ...

    async def create_subscription(
        self, request: CreateSubscriptionRequest
    ) -> CreateSubscriptionResponse: ...

    def read(self, request: ReadRequest, timeout: float = PATIENCE) -> AsyncGenerator[ReadResponse]:
        """Its frames. Closing it ends the call."""

    async def read_and_cancel(self, request: ReadRequest) -> None:
        """Reads until the frame `caught_up`, and cancels the call there."""

    async def consume(
        self, subscription: str, count: int, decide: Decide
    ) -> list[SettlementResult]:
        """Settles deliveries until there are `count` results."""

    async def publish_one(self, topic: str, event_id: str, value: Message) -> None:
        """Publishes one event."""


class GrpcServer:
    """The server over grpcio."""

    def __init__(self, address: str, channel: grpc.aio.Channel) -> None:
        self._address = address
        self._topics = TopicServiceStub(channel)
        self._publisher = PublisherServiceStub(channel)
        self._reader = ReaderServiceStub(channel)
        self._subscriptions = SubscriptionServiceStub(channel)
        self._channel = channel

    async def create_topic(self, request: CreateTopicRequest) -> CreateTopicResponse:
        return await answer(self._topics.CreateTopic(request, timeout=PATIENCE))

    async def get_topic(self, request: GetTopicRequest) -> GetTopicResponse:
        return await answer(self._topics.GetTopic(request, timeout=PATIENCE))

    async def publish(self, request: PublishRequest) -> PublishResponse:
        return await answer(self._publisher.Publish(request, timeout=PATIENCE))

    async def create_subscription(
        self, request: CreateSubscriptionRequest
    ) -> CreateSubscriptionResponse:
        return await answer(self._subscriptions.CreateSubscription(request, timeout=PATIENCE))

    async def read(
        self, request: ReadRequest, timeout: float = PATIENCE
    ) -> AsyncGenerator[ReadResponse]:
        call = self._reader.Read(request, timeout=timeout)
        try:
            async for frame in call:
                yield frame
        except grpc.aio.AioRpcError as error:
            raise await refused(call) from error
        finally:
            call.cancel()

    async def read_and_cancel(self, request: ReadRequest) -> None:
        call = self._reader.Read(request, timeout=PATIENCE)
        try:
            async for frame in call:
                if frame.HasField("caught_up"):
                    call.cancel()
        except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
            # The latter is how grpcio ends a call that was cancelled here.
            raise await refused(call) from error

    async def consume(
        self, subscription: str, count: int, decide: Decide
    ) -> list[SettlementResult]:
        results: list[SettlementResult] = []
        stop = asyncio.Event()
        broken = False

        async def work(delivery: Delivery) -> Settlement:
            return decide(delivery)

        def settled(more: Sequence[SettlementResult]) -> None:
            nonlocal broken
            if not broken and len(results) + len(more) >= count:
                # As if the connection broke before the last ones came: they are to come again.
                broken = True
                nothing = grpc.aio.Metadata()
                raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing)
            results.extend(more)
            if len(results) >= count:
                stop.set()

        consuming = consumer.consume(self._channel, subscription, work, settled, stop)
        await asyncio.wait_for(consuming, PATIENCE)
        return results

    async def publish_one(self, topic: str, event_id: str, value: Message) -> None:
        # docs:begin
        async with grpc.aio.insecure_channel(self._address) as channel:
            publisher = PublisherServiceStub(channel)
            data = Any()
            data.Pack(value)
            event = Event(id=event_id, source="/interop", data=data)
            await publisher.Publish(PublishRequest(topic=topic, events=[event]), timeout=10)
        # docs:end


async def answer(call: grpc.aio.UnaryUnaryCall[Request, Response]) -> Response:
    """The response of a call, or RefusedError."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise await refused(call) from error


async def refused(call: grpc.aio.Call) -> RefusedError:
    """What the error of a call says that has ended with one."""
    status = await rpc_status.aio.from_call(call)
    details = status.details if status else ()
    return RefusedError((await call.code()).name, await call.details(), details)


class ConnectServer:
    """The server over connectrpc, which does Connect and gRPC-Web."""

    def __init__(self, url: str, transport: str) -> None:
        self._bidirectional = transport != "grpc-web"
        # Bidirectional streams take HTTP/2, which without TLS is by agreement.
        version = HTTPVersion.HTTP2 if self._bidirectional else HTTPVersion.HTTP1
        self._client = ConnectClient(
            url,
            codec=jsonform.Codec() if transport == "connect-json" else proto_binary_codec(),
            protocol=ProtocolType.CONNECT if self._bidirectional else ProtocolType.GRPC_WEB,
            timeout_ms=round(PATIENCE * 1000),
            http_client=Client(HTTPTransport(http_version=version)),
        )

    async def create_topic(self, request: CreateTopicRequest) -> CreateTopicResponse:
        return await self._call("TopicService/CreateTopic", request, CreateTopicResponse)

    async def get_topic(self, request: GetTopicRequest) -> GetTopicResponse:
        return await self._call("TopicService/GetTopic", request, GetTopicResponse)

    async def publish(self, request: PublishRequest) -> PublishResponse:
        return await self._call("PublisherService/Publish", request, PublishResponse)

    async def create_subscription(
        self, request: CreateSubscriptionRequest
    ) -> CreateSubscriptionResponse:
        rpc = "SubscriptionService/CreateSubscription"
        return await self._call(rpc, request, CreateSubscriptionResponse)

    async def read(
        self, request: ReadRequest, timeout: float = PATIENCE
    ) -> AsyncGenerator[ReadResponse]:
        call = self._client.execute_server_stream(
            request=request,
            method=method("ReaderService/Read", ReadRequest, ReadResponse),
            timeout_ms=round(timeout * 1000),
        )
        try:
            async for frame in call:
                yield frame
        except ConnectError as error:
            raise refused_by_connect(error) from error

    async def read_and_cancel(self, request: ReadRequest) -> None:
        caught_up = asyncio.Event()

        async def read() -> None:
            async for frame in self.read(request):
                if frame.HasField("caught_up"):
                    caught_up.set()

        # A call is cancelled by cancelling the task that waits for it.
        task = asyncio.create_task(read())
        caught_up_or_ended = [task, asyncio.create_task(caught_up.wait())]
        await asyncio.wait(caught_up_or_ended, return_when=asyncio.FIRST_COMPLETED)
        for each in caught_up_or_ended:
            each.cancel()
        await task

    async def consume(
        self, subscription: str, count: int, decide: Decide
    ) -> list[SettlementResult]:
        if not self._bidirectional:
            return await self._receive(subscription, count, decide)
        batches: Batches = asyncio.Queue()
        call = self._client.execute_bidi_stream(
            request=requests(subscription, batches),
            method=method("ConsumerService/Consume", ConsumeRequest, ConsumeResponse),
        )
        try:
            return await settle(call, batches, count, decide)
        except ConnectError as error:
            raise refused_by_connect(error) from error

    async def _receive(
        self, subscription: str, count: int, decide: Decide
    ) -> list[SettlementResult]:
        """Does with two calls what Consume does with one."""
        results: list[SettlementResult] = []
        call = self._client.execute_server_stream(
            request=ReceiveRequest(subscription=subscription),
            method=method("ConsumerService/Receive", ReceiveRequest, ReceiveResponse),
        )
        try:
            async for frame in call:
                settlements = [decide(delivery) for delivery in frame.deliveries.deliveries]
                if not settlements:
                    continue
                request = SettleRequest(subscription=subscription, settlements=settlements)
                response = await self._call("ConsumerService/Settle", request, SettleResponse)
                results += response.results
                if len(results) >= count:
                    break
        except ConnectError as error:
            raise refused_by_connect(error) from error
        return results

    async def publish_one(self, topic: str, event_id: str, value: Message) -> None:
        data = Any()
        data.Pack(value)
        event = Event(id=event_id, source="/interop", data=data)
        await self.publish(PublishRequest(topic=topic, events=[event]))

    async def _call(self, rpc: str, request: Request, response: type[Response]) -> Response:
        try:
            return await self._client.execute_unary(
                request=request, method=method(rpc, type(request), response)
            )
        except ConnectError as error:
            raise refused_by_connect(error) from error


def method(
    rpc: str, request: type[Request], response: type[Response]
) -> MethodInfo[Request, Response]:
    """What connectrpc has to know of an RPC, SERVICE/METHOD."""
    service, _, name = rpc.partition("/")
    return MethodInfo(
        name=name,
        service_name=f"tidings.v1.{service}",
        input=request,
        output=response,
        idempotency_level=IdempotencyLevel.UNKNOWN,
    )


def refused_by_connect(error: ConnectError) -> RefusedError:
    """What an error of connectrpc says, with the code as gRPC spells it."""
    code = error.code.name.replace("CANCELED", "CANCELLED")
    return RefusedError(code, error.message, error.details)


async def requests(subscription: str, batches: Batches) -> AsyncIterator[ConsumeRequest]:
    """The requests of Consume: the first, and one for each batch until there is None."""
    yield ConsumeRequest(open=ConsumeOpen(subscription=subscription))
    while batch := await batches.get():
        yield ConsumeRequest(settle=batch)


async def settle(
    frames: AsyncIterator[ConsumeResponse], batches: Batches, count: int, decide: Decide
) -> list[SettlementResult]:
    """Settles what comes until there are as many results."""
    results: list[SettlementResult] = []
    async for frame in frames:
        results += frame.settled.results
        if frame.HasField("deliveries"):
            settlements = [decide(delivery) for delivery in frame.deliveries.deliveries]
            batches.put_nowait(SettlementBatch(settlements=settlements))
        if len(results) >= count:
            # Ends the client's side; the server then ends the call.
            batches.put_nowait(None)
    return results
