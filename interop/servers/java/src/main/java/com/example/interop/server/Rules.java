package com.example.interop.server;

import build.buf.protovalidate.Validator;
import build.buf.protovalidate.ValidatorFactory;
import build.buf.protovalidate.exceptions.ValidationException;
import build.buf.validate.FieldPath;
import build.buf.validate.FieldPathElement;
import build.buf.validate.Violation;
import com.example.tidings.v1.ErrorReason;
import com.google.protobuf.Message;
import java.util.List;

/** The rules of protovalidate in the schemas. */
final class Rules {
  private static final Validator VALIDATOR = ValidatorFactory.newBuilder().build();

  private Rules() {}

  /** Fails where a request breaks a rule. */
  static void check(Message request) {
    List<Violation> violations = violations(request);
    if (!violations.isEmpty()) {
      throw Fault.of(ErrorReason.ERROR_REASON_REQUEST_INVALID, violations);
    }
  }

  /** Returns the rules that a message breaks. Paths begin at the message. */
  static List<Violation> violations(Message message) {
    try {
      return VALIDATOR.validate(message).getViolations().stream()
          .map(build.buf.protovalidate.Violation::toProto)
          .toList();
    } catch (ValidationException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Returns a violation with the first elements of its path, as many as given, replaced. */
  static Violation replaceFirst(Violation violation, int count, FieldPathElement... by) {
    List<FieldPathElement> elements = violation.getField().getElementsList();
    FieldPath path =
        FieldPath.newBuilder()
            .addAllElements(List.of(by))
            .addAllElements(elements.subList(count, elements.size()))
            .build();
    return violation.toBuilder().setField(path).build();
  }
}
