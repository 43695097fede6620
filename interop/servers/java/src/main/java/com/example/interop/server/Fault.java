package com.example.interop.server;

import build.buf.validate.FieldPathElement;
import build.buf.validate.Violation;
import build.buf.validate.Violations;
import com.example.tidings.v1.Error;
import com.example.tidings.v1.ErrorDetail;
import com.example.tidings.v1.ErrorReason;
import com.example.tidings.v1.FieldViolation;
import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** An error of the contract's catalogue. */
final class Fault extends RuntimeException {
  private static final long serialVersionUID = 1;
  private static final String DOMAIN = "tidings";
  private static final String REASON_PREFIX = "ERROR_REASON_";

  /** How many violations of rules are named. */
  private static final int MAX_VIOLATIONS = 100;

  private final ErrorDetail error;
  private final transient List<Violation> violations;

  private Fault(ErrorDetail error, List<Violation> violations) {
    super(error.getMessage());
    this.error = error;
    this.violations = violations;
  }

  static Fault of(ErrorReason reason, String message, Map<String, String> metadata) {
    return new Fault(error(reason, message).putAllMetadata(metadata).build(), List.of());
  }

  /** Returns an error that is about one field. */
  static Fault of(
      ErrorReason reason, String field, String description, Map<String, String> metadata) {
    return new Fault(
        error(reason, field + ": " + description)
            .putAllMetadata(metadata)
            .addFieldViolations(
                FieldViolation.newBuilder().setField(field).setDescription(description))
            .build(),
        List.of());
  }

  /** Returns an error about rules that are broken, whose paths begin at the request. */
  static Fault of(ErrorReason reason, List<Violation> violations) {
    violations = violations.subList(0, Math.min(violations.size(), MAX_VIOLATIONS));
    List<FieldViolation> fields =
        violations.stream()
            .map(
                violation ->
                    FieldViolation.newBuilder()
                        .setField(path(violation.getField().getElementsList()))
                        .setDescription(violation.getMessage())
                        .setRuleId(violation.getRuleId())
                        .build())
            .toList();
    String message =
        fields.stream()
            .limit(3)
            .map(field -> field.getField() + ": " + field.getDescription())
            .collect(Collectors.joining("; "));
    return new Fault(
        error(reason, message).addAllFieldViolations(fields).build(), List.copyOf(violations));
  }

  private static ErrorDetail.Builder error(ErrorReason reason, String message) {
    return ErrorDetail.newBuilder()
        .setReason(reason)
        .setCode(
            reason.getValueDescriptor().getOptions().getExtension(Error.error).getCode())
        .setMessage(message);
  }

  /** Returns the same error with more metadata. */
  Fault with(String name, String value) {
    return new Fault(error.toBuilder().putMetadata(name, value).build(), violations);
  }

  /** Returns the error as a part of a response. */
  ErrorDetail toProto() {
    return error;
  }

  /** Returns the error as the end of a call. */
  StatusRuntimeException toStatus() {
    var status =
        com.google.rpc.Status.newBuilder()
            .setCode(error.getCodeValue())
            .setMessage(error.getMessage())
            .addDetails(
                Any.pack(
                    ErrorInfo.newBuilder()
                        .setReason(error.getReason().name().substring(REASON_PREFIX.length()))
                        .setDomain(DOMAIN)
                        .putAllMetadata(new TreeMap<>(error.getMetadataMap()))
                        .build()));
    if (error.getFieldViolationsCount() > 0) {
      var fields = BadRequest.newBuilder();
      for (FieldViolation violation : error.getFieldViolationsList()) {
        fields
            .addFieldViolationsBuilder()
            .setField(violation.getField())
            .setDescription(violation.getDescription())
            .setReason(violation.getRuleId());
      }
      status.addDetails(Any.pack(fields.build()));
    }
    if (!violations.isEmpty()) {
      status.addDetails(Any.pack(Violations.newBuilder().addAllViolations(violations).build()));
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  /** Writes a path as text: {@code events[0].attributes["a"]}. */
  private static String path(List<FieldPathElement> elements) {
    return elements.stream()
        .map(element -> element.getFieldName() + subscript(element))
        .collect(Collectors.joining("."));
  }

  private static String subscript(FieldPathElement element) {
    return switch (element.getSubscriptCase()) {
      case INDEX -> "[" + Long.toUnsignedString(element.getIndex()) + "]";
      case BOOL_KEY -> "[" + element.getBoolKey() + "]";
      case INT_KEY -> "[" + element.getIntKey() + "]";
      case UINT_KEY -> "[" + Long.toUnsignedString(element.getUintKey()) + "]";
      case STRING_KEY ->
          "[\"" + element.getStringKey().replace("\\", "\\\\").replace("\"", "\\\"") + "\"]";
      case SUBSCRIPT_NOT_SET -> "";
    };
  }
}
