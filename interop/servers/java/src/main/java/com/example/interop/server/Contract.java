package com.example.interop.server;

import com.example.tidings.v1.ErrorReason;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import io.grpc.BindableService;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.MethodDescriptor.PrototypeMarshaller;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.ServerMethodDefinition;
import io.grpc.ServerServiceDefinition;
import io.grpc.StatusRuntimeException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;

/**
 * Ends calls as the contract says, whatever the service: where a handler throws a {@link Fault},
 * and where a request can't be decoded or is too large, for which gRPC itself has no reason.
 */
final class Contract implements ServerInterceptor {
  private static final System.Logger LOG = System.getLogger(Contract.class.getName());

  /** What is wrong with the request of a stream that is being handed to its handler. */
  private static final Context.Key<AtomicReference<Fault>> UNDECODABLE = Context.key("undecodable");

  private final Map<String, Message> requests;

  private Contract(Map<String, Message> requests) {
    this.requests = requests;
  }

  /** Returns a service whose calls end as the contract says. */
  static ServerServiceDefinition of(BindableService service) {
    ServerServiceDefinition definition = service.bindService();
    Map<String, Message> requests =
        definition.getMethods().stream()
            .map(ServerMethodDefinition::getMethodDescriptor)
            .collect(Collectors.toMap(MethodDescriptor::getFullMethodName, Contract::prototype));
    return ServerInterceptors.intercept(
        ServerInterceptors.useMarshalledMessages(definition, BYTES), new Contract(requests));
  }

  private static Message prototype(MethodDescriptor<?, ?> method) {
    return (Message) ((PrototypeMarshaller<?>) method.getRequestMarshaller()).getMessagePrototype();
  }

  /**
   * Fails where the request at hand is one of a stream with responses of their own, and can't be
   * decoded. In place of such a request its handler gets an empty one.
   */
  static void checkDecoded() {
    Fault fault = UNDECODABLE.get().getAndSet(null);
    if (fault != null) {
      throw fault;
    }
  }

  @Override
  public <Q, S> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, S> call, Metadata headers, ServerCallHandler<Q, S> next) {
    var undecodable = new AtomicReference<Fault>();
    Context context = Context.current().withValue(UNDECODABLE, undecodable);
    return new SimpleForwardingServerCallListener<>(
        Contexts.interceptCall(context, call, headers, next)) {
      private boolean ended;

      @Override
      public void onMessage(Q request) {
        run(
            () -> {
              Fault fault = decode((byte[]) request);
              if (fault == null) {
                super.onMessage(request);
              } else if (call.getMethodDescriptor().getType() == MethodType.BIDI_STREAMING) {
                undecodable.set(fault);
                @SuppressWarnings("unchecked")
                Q empty = (Q) new byte[0];
                super.onMessage(empty);
              } else {
                throw fault;
              }
            });
      }

      @Override
      public void onHalfClose() {
        run(super::onHalfClose);
      }

      private void run(Runnable step) {
        if (ended) {
          return;
        }
        try {
          step.run();
        } catch (RuntimeException e) {
          ended = true;
          StatusRuntimeException end = faultOf(e).toStatus();
          call.close(end.getStatus(), end.getTrailers());
        }
      }

      private Fault decode(byte[] request) {
        if (request.length > Limits.MAX_REQUEST_BYTES) {
          throw Fault.of(
              ErrorReason.ERROR_REASON_REQUEST_TOO_LARGE,
              "the request has %d bytes, at most %d are allowed"
                  .formatted(request.length, Limits.MAX_REQUEST_BYTES),
              Map.of(
                  "size", Integer.toString(request.length),
                  "limit", Integer.toString(Limits.MAX_REQUEST_BYTES)));
        }
        try {
          requests
              .get(call.getMethodDescriptor().getFullMethodName())
              .getParserForType()
              .parseFrom(request);
          return null;
        } catch (InvalidProtocolBufferException e) {
          return Fault.of(
              ErrorReason.ERROR_REASON_REQUEST_MALFORMED,
              "the request can't be decoded: " + e.getMessage(),
              Map.of());
        }
      }
    };
  }

  /** Returns the error that a call ends with where a handler throws. */
  static Fault faultOf(RuntimeException thrown) {
    if (thrown instanceof Fault fault) {
      return fault;
    }
    String id = UUID.randomUUID().toString();
    LOG.log(System.Logger.Level.ERROR, id, thrown);
    return Fault.of(ErrorReason.ERROR_REASON_INTERNAL, "the server failed", Map.of("error_id", id));
  }

  /** Leaves messages as they are on the wire. */
  private static final MethodDescriptor.Marshaller<byte[]> BYTES =
      new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
          return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
          try (stream) {
            return stream.readAllBytes();
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        }
      };
}
