"""A consumer that goes on working whatever becomes of its calls."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import grpc
from tidings.v1.consumer_service_pb2 import ConsumeOpen, ConsumeRequest
from tidings.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from tidings.v1.delivery_pb2 import Delivery
from tidings.v1.settlement_pb2 import Settlement, SettlementBatch, SettlementResult

# docs:begin
# What the same call would end with again.
LASTING = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNIMPLEMENTED,
)


async def consume(
    channel: grpc.aio.Channel,
    subscription: str,
    work: Callable[[Delivery], Awaitable[Settlement]],
    settled: Callable[[Sequence[SettlementResult]], None],
    stop: asyncio.Event,
) -> None:
    """Consumes a subscription until stop is set, which is seen with the next frame, if only
    a heartbeat. work decides about each delivery in turn."""
    consumer = ConsumerServiceStub(channel)
    unanswered: deque[SettlementBatch] = deque()  # Those whose results haven't come.
    while not stop.is_set():
        held = [each.delivery_token for batch in unanswered for each in batch.settlements]
        opening = ConsumeOpen(subscription=subscription, held_delivery_tokens=held)
        call = consumer.Consume()
        try:
            await call.write(ConsumeRequest(open=opening))
            for batch in unanswered:
                await call.write(ConsumeRequest(settle=batch))
            async for frame in call:
                if frame.HasField("deliveries"):
                    batch = SettlementBatch()
                    for delivery in frame.deliveries.deliveries:
                        batch.settlements.append(await work(delivery))
                    unanswered.append(batch)
                    await call.write(ConsumeRequest(settle=batch))
                elif frame.HasField("settled"):
                    settled(frame.settled.results)  # In the order of the batches.
                    unanswered.popleft()
                elif frame.HasField("draining"):
                    # The server is about to stop: nothing is held here, so call again.
                    await call.done_writing()
                if stop.is_set() and not unanswered:
                    break
        except grpc.aio.AioRpcError as error:
            if error.code() in LASTING:
                raise
            await asyncio.sleep(1)
        finally:
            call.cancel()


# docs:end
