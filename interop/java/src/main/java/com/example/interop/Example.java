package com.example.interop;

import com.example.tidings.v1.Event;
import com.example.tidings.v1.PublishRequest;
import com.example.tidings.v1.PublisherServiceGrpc;
import com.google.protobuf.Any;
import com.google.protobuf.Message;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.util.concurrent.TimeUnit;

/** All that a publisher in Java has to do. */
final class Example {
  private Example() {}

  static void publish(String address, String topic, String id, Message value) {
    // docs:begin
    ManagedChannel channel =
        Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    try {
      Event event =
          Event.newBuilder().setId(id).setSource("/interop").setData(Any.pack(value)).build();
      PublisherServiceGrpc.newBlockingStub(channel)
          .withDeadlineAfter(10, TimeUnit.SECONDS)
          .publish(PublishRequest.newBuilder().setTopic(topic).addEvents(event).build());
    } finally {
      channel.shutdown();
    }
    // docs:end
  }
}
