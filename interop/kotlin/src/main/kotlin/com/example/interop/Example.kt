package com.example.interop

import com.example.tidings.v1.PublisherServiceGrpcKt.PublisherServiceCoroutineStub
import com.example.tidings.v1.event
import com.example.tidings.v1.publishRequest
import com.google.protobuf.Any
import com.google.protobuf.Message
import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials
import java.util.concurrent.TimeUnit.SECONDS

/** Does all that a publisher in Kotlin has to do. */
suspend fun publishOne(
    address: String,
    topic: String,
    id: String,
    value: Message,
) {
    // docs:begin
    val channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build()
    try {
        PublisherServiceCoroutineStub(channel).withDeadlineAfter(10, SECONDS).publish(
            publishRequest {
                this.topic = topic
                events +=
                    event {
                        this.id = id
                        source = "/interop"
                        data = Any.pack(value)
                    }
            },
        )
    } finally {
        channel.shutdown()
    }
    // docs:end
}
