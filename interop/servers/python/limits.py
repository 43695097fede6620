"""What the server accepts, and says so."""

from importlib.metadata import version

import grpc
from tidings.v1.server_service_pb2 import (
    FEATURE_EXACT_COUNTS,
    FEATURE_KEY_PRECONDITIONS,
    FEATURE_MULTIPLE_PRECONDITIONS,
    Feature,
    GetServerInfoRequest,
    GetServerInfoResponse,
    Limits,
)
from tidings.v1.server_service_pb2_grpc import ServerServiceServicer

MAX_REQUEST_BYTES = 4 << 20
MAX_EVENT_BYTES = 1 << 20
MAX_EVENTS = 4096
MAX_EVENTS_BY_EVENT = 1000  # In a topic with DEDUPE_EVENT.

FEATURES = (FEATURE_EXACT_COUNTS, FEATURE_KEY_PRECONDITIONS, FEATURE_MULTIPLE_PRECONDITIONS)

ServerInfoContext = grpc.aio.ServicerContext[GetServerInfoRequest, GetServerInfoResponse]


class ServerInfo(ServerServiceServicer):
    """tidings.v1.ServerService."""

    async def GetServerInfo(  # noqa: N802
        self, request: GetServerInfoRequest, context: ServerInfoContext
    ) -> GetServerInfoResponse:
        # The durability isn't said: the contract has no name for events that are in
        # memory only.
        return GetServerInfoResponse(
            version=version("example-tidings"),
            limits=Limits(
                max_request_bytes=MAX_REQUEST_BYTES,
                max_event_bytes=MAX_EVENT_BYTES,
                max_events_per_request=MAX_EVENTS,
                max_events_per_dedupe_event_request=MAX_EVENTS_BY_EVENT,
            ),
            features=[Feature.Name(feature).removeprefix("FEATURE_") for feature in FEATURES],
        )
