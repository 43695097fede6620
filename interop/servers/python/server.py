"""A server in Python for a part of the contract: TopicService and PublisherService, in
memory. It shows what the contract asks of a server besides the messages."""

import asyncio
import signal

import grpc
from tidings.conformance.v1 import every_kind_pb2
from tidings.v1.publisher_service_pb2_grpc import add_PublisherServiceServicer_to_server
from tidings.v1.server_service_pb2_grpc import add_ServerServiceServicer_to_server
from tidings.v1.topic_service_pb2_grpc import add_TopicServiceServicer_to_server

from eventtypes import EventTypes
from limits import ServerInfo
from publisher import Publisher
from rpc import Contract
from topics import Topics

# Above this grpcio itself refuses a request, with no reason.
MAX_MESSAGE_BYTES = 64 << 20
GRACE = 5.0  # For calls under way when the server is told to stop, in seconds.


async def serve() -> None:
    """Serves until the process is told to stop."""
    types = EventTypes([every_kind_pb2.DESCRIPTOR])
    topics = Topics(types)
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    server = grpc.aio.server(interceptors=[Contract()], options=options)
    add_ServerServiceServicer_to_server(ServerInfo(), server)
    add_TopicServiceServicer_to_server(topics, server)
    add_PublisherServiceServicer_to_server(Publisher(types, topics), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"listening grpc=127.0.0.1:{port}", flush=True)
    await stop.wait()
    await server.stop(GRACE)


if __name__ == "__main__":
    asyncio.run(serve())
