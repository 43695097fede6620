"""What all calls have in common: requests are decoded, and faults end the call, in one
place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_status import rpc_status
from tidings.v1.error_pb2 import ERROR_REASON_REQUEST_MALFORMED, ERROR_REASON_REQUEST_TOO_LARGE

from faults import Fault
from limits import MAX_REQUEST_BYTES

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = grpc.aio.ServicerContext[Message, Message]
Handler = Any  # grpc.RpcMethodHandler has the types of handlers that block.


class Contract(grpc.aio.ServerInterceptor):
    """Ends calls as the contract says. grpcio itself would answer a request that it
    can't decode with INTERNAL, and without a reason.

    Handlers raise Fault. In place of a request of a stream that can't be decoded they get
    its Fault.
    """

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Request, Response] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        handler: Handler = await continuation(handler_call_details)
        if handler is None:  # There is no such RPC.
            return None
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                both_streams(handler), response_serializer=handler.response_serializer
            )
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(
                request_stream(handler), response_serializer=handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            no_stream(handler), response_serializer=handler.response_serializer
        )


def no_stream(handler: Handler) -> Callable[[bytes, Context], Awaitable[Message]]:
    async def call(data: bytes, context: Context) -> Message:
        try:
            request = decode(handler, data)
            if isinstance(request, Fault):
                raise request
            response: Message = await handler.unary_unary(request, context)
        except Fault as fault:
            await end(context, fault)
        return response

    return call


def request_stream(
    handler: Handler,
) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Message]]:
    async def call(stream: AsyncIterator[bytes], context: Context) -> Message:
        try:
            requests = decode_all(handler, stream)
            response: Message = await handler.stream_unary(requests, context)
        except Fault as fault:
            await end(context, fault)
        return response

    return call


def both_streams(
    handler: Handler,
) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[Message]]:
    async def call(stream: AsyncIterator[bytes], context: Context) -> AsyncIterator[Message]:
        try:
            async for response in handler.stream_stream(decode_all(handler, stream), context):
                yield response
        except Fault as fault:
            await end(context, fault)

    return call


def decode(handler: Handler, data: bytes) -> Message | Fault:
    """The request, or why it isn't one."""
    if len(data) > MAX_REQUEST_BYTES:
        raise Fault(
            ERROR_REASON_REQUEST_TOO_LARGE,
            f"the request has {len(data)} bytes, at most {MAX_REQUEST_BYTES} are allowed",
            {"size": str(len(data)), "limit": str(MAX_REQUEST_BYTES)},
        )
    try:
        request: Message = handler.request_deserializer(data)
    except DecodeError as error:
        return Fault(ERROR_REASON_REQUEST_MALFORMED, f"the request can't be decoded: {error}")
    return request


async def decode_all(
    handler: Handler, stream: AsyncIterator[bytes]
) -> AsyncIterator[Message | Fault]:
    async for data in stream:
        yield decode(handler, data)


async def end(context: Context, fault: Fault) -> NoReturn:
    """Ends a call with an error."""
    status = rpc_status.to_status(fault.status())
    await context.abort(status.code, status.details, status.trailing_metadata)
