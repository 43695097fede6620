"""Publishes an event with an API key, over TLS. README.md in the directory above says how it
is run."""

import os
import sys
from pathlib import Path

import grpc
from google.protobuf.any_pb2 import Any
from tidings.conformance.v1.every_kind_pb2 import EveryKind
from tidings.v1.event_pb2 import Event
from tidings.v1.publisher_service_pb2 import PublishRequest
from tidings.v1.publisher_service_pb2_grpc import PublisherServiceStub


def publish(address: str, authorities: Path, token: str, request: PublishRequest) -> None:
    # docs:begin
    credentials = grpc.ssl_channel_credentials(authorities.read_bytes())
    if token:  # Sent as `authorization: Bearer …` with every call.
        call = grpc.access_token_call_credentials(token)
        credentials = grpc.composite_channel_credentials(credentials, call)
    with grpc.secure_channel(address, credentials) as channel:
        PublisherServiceStub(channel).Publish(request, timeout=10)
    # docs:end


def main() -> None:
    token_file = os.environ["TIDINGS_TOKEN_FILE"]
    data = Any()
    data.Pack(EveryKind(name="access", email="ada@example.com"))
    request = PublishRequest(
        topic=os.environ["TIDINGS_TOPIC"],
        events=[Event(id="access", source="/interop", data=data)],
    )
    authorities = Path(os.environ["TIDINGS_CA_FILE"])
    token = Path(token_file).read_text().strip() if token_file else ""
    try:
        publish(os.environ["TIDINGS_GRPC"], authorities, token, request)
    except grpc.RpcError as error:
        print(error.code().name)
        sys.exit(1)


main()
