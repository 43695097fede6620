"""Handles one event of a subscription in the trace of its producer, with the SDK of
OpenTelemetry, which OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_SERVICE_NAME configure.

TIDINGS_GRPC is the address of the server, and TIDINGS_SUBSCRIPTION what to consume."""

import os
import sys

import grpc
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tidings.v1.consumer_service_pb2 import PullRequest, SettleRequest
from tidings.v1.consumer_service_pb2_grpc import ConsumerServiceStub
from tidings.v1.delivery_pb2 import Delivery
from tidings.v1.settlement_pb2 import Ack, Settlement, SettlementStatus


def process(tracer: trace.Tracer, subscription: str, delivery: Delivery) -> None:
    """Handles an event in a span that its producer's is the parent of."""
    recorded = delivery.recorded
    made = propagate.extract(dict(recorded.event.attributes))
    with tracer.start_as_current_span(
        f"process {recorded.topic}",
        context=made,
        kind=trace.SpanKind.CONSUMER,
        links=[trace.Link(trace.get_current_span(made).get_span_context())],
        attributes={
            "messaging.system": "tidings",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": recorded.topic,
            "messaging.consumer.group.name": subscription,
            "messaging.message.id": recorded.event.id,
        },
    ):
        print("handled", recorded.event.id, flush=True)


def settle(consumer: ConsumerServiceStub, subscription: str, delivery: Delivery) -> bool:
    """Acknowledges an event, in a call that belongs to its trace."""
    made = propagate.extract(dict(delivery.recorded.event.attributes))
    headers: dict[str, str] = {}
    propagate.inject(headers, made)
    settlement = Settlement(delivery_token=delivery.delivery_token, ack=Ack())
    answer = consumer.Settle(
        SettleRequest(subscription=subscription, settlements=[settlement]),
        metadata=tuple(headers.items()),
        timeout=60,
    )
    return answer.results[0].status == SettlementStatus.SETTLEMENT_STATUS_APPLIED


def main() -> int:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("billing")
    subscription = os.environ["TIDINGS_SUBSCRIPTION"]
    with grpc.insecure_channel(os.environ["TIDINGS_GRPC"]) as channel:
        consumer = ConsumerServiceStub(channel)
        request = PullRequest(subscription=subscription, max_events=1)
        request.max_wait.FromSeconds(20)
        settled = False
        for delivery in consumer.Pull(request, timeout=60).deliveries:
            process(tracer, subscription, delivery)
            settled = settle(consumer, subscription, delivery)
    provider.shutdown()
    return 0 if settled else 1


if __name__ == "__main__":
    sys.exit(main())
