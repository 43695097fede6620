package com.example.interop

import com.example.tidings.v1.{Event, PublishRequest, PublisherServiceGrpc}
import com.google.protobuf.any.Any
import io.grpc.{Grpc, InsecureChannelCredentials}
import java.util.concurrent.TimeUnit.SECONDS
import scalapb.GeneratedMessage

/** All that a publisher in Scala has to do. */
object Example:
  def publish(address: String, topic: String, id: String, value: GeneratedMessage): Unit =
    // docs:begin
    val channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build()
    try
      val event = Event(id = id, source = "/interop", data = Some(Any.pack(value)))
      PublisherServiceGrpc
        .blockingStub(channel)
        .withDeadlineAfter(10, SECONDS)
        .publish(PublishRequest(topic = topic, events = Seq(event)))
    finally channel.shutdown()
    // docs:end
