package com.example.interop

import com.example.tidings.v1.Event
import com.example.tidings.v1.PublishRequest
import com.example.tidings.v1.PublisherServiceGrpc
import com.google.protobuf.Any
import com.google.protobuf.Message
import groovy.transform.CompileStatic
import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials

import static java.util.concurrent.TimeUnit.SECONDS

/** All that a publisher in Groovy has to do. */
@CompileStatic
class Example {
    static void publish(String address, String topic, String id, Message value) {
        // docs:begin
        def channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build()
        try {
            def event = Event.newBuilder().tap {
                it.id = id
                source = '/interop'
                data = Any.pack(value)
            }
            def request = PublishRequest.newBuilder().setTopic(topic).addEvents(event).build()
            PublisherServiceGrpc.newBlockingStub(channel).withDeadlineAfter(10, SECONDS).publish(request)
        } finally {
            channel.shutdown()
        }
        // docs:end
    }
}
