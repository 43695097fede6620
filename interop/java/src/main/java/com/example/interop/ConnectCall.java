package com.example.interop;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.protobuf.MessageOrBuilder;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.protobuf.util.JsonFormat;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.Locale;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** A call with one request, over Connect with JSON. */
final class ConnectCall<Q, S> extends ClientCall<Q, S> {
  private static final JsonFormat.Printer PRINTER =
      JsonFormat.printer().usingTypeRegistry(Golden.TYPES);
  private static final JsonFormat.Parser PARSER =
      JsonFormat.parser().usingTypeRegistry(Golden.TYPES);

  private static final Value NONE = Value.getDefaultInstance();

  /** The flag of the last message of a stream, which says how the call ended. */
  private static final int END_STREAM = 2;

  private final HttpClient http;
  private final URI url;
  private final CallOptions options;
  private final boolean streaming;
  private final Message responsePrototype;

  /** How many responses the caller has asked for and hasn't got. */
  private final Semaphore requested = new Semaphore(0);

  private final Thread thread = new Thread(this::run);
  private Listener<S> listener;
  private Q request;

  // Guarded by this.
  private boolean ended;
  private InputStream body; // Of the response, once there is one.

  ConnectCall(HttpClient http, URI url, MethodDescriptor<Q, S> method, CallOptions options) {
    this.http = http;
    this.url = url;
    this.options = options;
    streaming = !method.getType().serverSendsOneMessage();
    responsePrototype =
        (Message) ((PrototypeMarshaller<S>) method.getResponseMarshaller()).getMessagePrototype();
  }

  @Override
  public void start(Listener<S> listener, Metadata headers) {
    this.listener = listener;
  }

  @Override
  public void request(int count) {
    requested.release(count);
  }

  @Override
  public void sendMessage(Q message) {
    request = message;
  }

  @Override
  public void halfClose() {
    if (options.getDeadline() != null) {
      long millis = options.getDeadline().timeRemaining(TimeUnit.MILLISECONDS);
      CompletableFuture.delayedExecutor(millis, TimeUnit.MILLISECONDS)
          .execute(() -> end(Status.DEADLINE_EXCEEDED, new Metadata()));
    }
    thread.setDaemon(true);
    thread.start();
  }

  @Override
  public void cancel(String message, Throwable cause) {
    end(Status.CANCELLED.withDescription(message).withCause(cause), new Metadata());
  }

  private void run() {
    try {
      var response = http.send(httpRequest(), BodyHandlers.ofInputStream());
      try (InputStream body = open(response.body())) {
        if (response.statusCode() != 200) {
          throw error(parseObject(new String(body.readAllBytes(), UTF_8)));
        }
        if (streaming) {
          readStream(new DataInputStream(body));
        } else {
          receive(body.readAllBytes());
        }
      }
      end(Status.OK, new Metadata());
    } catch (StatusRuntimeException e) {
      end(e.getStatus(), e.getTrailers() == null ? new Metadata() : e.getTrailers());
    } catch (IOException e) {
      end(Status.UNAVAILABLE.withDescription(e.toString()).withCause(e), new Metadata());
    } catch (RuntimeException e) {
      end(Status.INTERNAL.withDescription(e.toString()).withCause(e), new Metadata());
    } catch (InterruptedException e) {
      // By end.
    }
  }

  private synchronized InputStream open(InputStream body) throws IOException {
    this.body = body;
    if (ended) {
      body.close();
    }
    return body;
  }

  private HttpRequest httpRequest() throws IOException {
    byte[] json = PRINTER.print((MessageOrBuilder) request).getBytes(UTF_8);
    var builder = HttpRequest.newBuilder(url).header("Connect-Protocol-Version", "1");
    if (options.getDeadline() != null) {
      long millis = Math.max(0, options.getDeadline().timeRemaining(TimeUnit.MILLISECONDS));
      builder.header("Connect-Timeout-Ms", Long.toString(millis));
    }
    if (!streaming) {
      return builder
          .header("Content-Type", "application/json")
          .POST(BodyPublishers.ofByteArray(json))
          .build();
    }
    // Flags and length come before each message.
    byte[] framed =
        ByteBuffer.allocate(5 + json.length).put((byte) 0).putInt(json.length).put(json).array();
    return builder
        .header("Content-Type", "application/connect+json")
        .POST(BodyPublishers.ofByteArray(framed))
        .build();
  }

  private void readStream(DataInputStream body) throws IOException, InterruptedException {
    int flags;
    do {
      flags = body.readUnsignedByte();
      byte[] json = body.readNBytes(body.readInt());
      if ((flags & END_STREAM) == 0) {
        receive(json);
        continue;
      }
      Value error = parseObject(new String(json, UTF_8)).getFieldsMap().get("error");
      if (error != null) {
        throw error(error.getStructValue());
      }
    } while ((flags & END_STREAM) == 0);
  }

  /** Hands a response over once the caller wants it. */
  private void receive(byte[] json) throws IOException, InterruptedException {
    Message.Builder response = responsePrototype.newBuilderForType();
    PARSER.merge(new String(json, UTF_8), response);
    @SuppressWarnings("unchecked")
    S message = (S) response.build();
    requested.acquire();
    synchronized (this) {
      if (!ended) {
        executor().execute(() -> listener.onMessage(message));
      }
    }
  }

  private synchronized void end(Status status, Metadata trailers) {
    if (!ended) {
      ended = true;
      executor().execute(() -> listener.onClose(status, trailers));
      if (Thread.currentThread() != thread) {
        thread.interrupt();
        abandon();
      }
    }
  }

  /** Closes the connection, by which the server learns that nobody listens. */
  private void abandon() {
    try {
      if (body != null) {
        body.close();
      }
    } catch (IOException e) {
      // Nothing more is read from it.
    }
  }

  private Executor executor() {
    return options.getExecutor() == null ? Runnable::run : options.getExecutor();
  }

  private static Struct parseObject(String json) throws IOException {
    Struct.Builder object = Struct.newBuilder();
    PARSER.merge(json, object);
    return object.build();
  }

  /** Makes of an error of Connect the same of gRPC. */
  private static StatusRuntimeException error(Struct error) {
    String code = error.getFieldsOrThrow("code").getStringValue();
    var status =
        com.google.rpc.Status.newBuilder()
            .setCode(codeOf(code).value())
            .setMessage(text(error, "message"));
    for (Value detail : error.getFieldsOrDefault("details", NONE).getListValue().getValuesList()) {
      status.addDetails(
          Any.newBuilder()
              .setTypeUrl("type.googleapis.com/" + text(detail.getStructValue(), "type"))
              .setValue(
                  ByteString.copyFrom(
                      Base64.getDecoder().decode(text(detail.getStructValue(), "value")))));
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  private static Status.Code codeOf(String name) {
    return name.equals("canceled")
        ? Status.Code.CANCELLED
        : Status.Code.valueOf(name.toUpperCase(Locale.ROOT));
  }

  private static String text(Struct object, String name) {
    return object.getFieldsOrDefault(name, NONE).getStringValue();
  }
}
