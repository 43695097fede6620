"""Errors of the contract's catalogue."""

import json
from collections.abc import Mapping, Sequence

from buf.validate.validate_pb2 import FieldPathElement, Violation, Violations
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from protovalidate import Validator
from tidings.v1 import error_pb2
from tidings.v1.error_pb2 import ErrorDetail, ErrorReason, FieldViolation

DOMAIN = "tidings"
MAX_VIOLATIONS = 100  # What is said of one request.

validator = Validator()


class Fault(Exception):
    """An error of the catalogue."""

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str,
        metadata: Mapping[str, str] | None = None,
        fields: Sequence[FieldViolation] = (),
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.fields = fields
        self.violations = violations  # The same as protovalidate has them.

    def proto(self) -> ErrorDetail:
        """The error as a part of a response."""
        options = ErrorReason.DESCRIPTOR.values_by_number[self.reason].GetOptions()
        return ErrorDetail(
            reason=self.reason,
            code=options.Extensions[error_pb2.error].code,
            message=self.message,
            metadata=self.metadata,
            field_violations=self.fields,
        )

    def status(self) -> Status:
        """The error as the end of a call."""
        status = Status(code=self.proto().code, message=self.message)
        name = ErrorReason.Name(self.reason).removeprefix("ERROR_REASON_")
        details: list[Message] = [ErrorInfo(reason=name, domain=DOMAIN, metadata=self.metadata)]
        if self.fields:
            fields = [
                BadRequest.FieldViolation(
                    field=field.field, description=field.description, reason=field.rule_id
                )
                for field in self.fields
            ]
            details.append(BadRequest(field_violations=fields))
        if self.violations:
            details.append(Violations(violations=self.violations))
        for detail in details:
            status.details.add().Pack(detail)
        return status


def about_field(
    reason: ErrorReason.ValueType,
    field: str,
    description: str,
    metadata: Mapping[str, str] | None = None,
) -> Fault:
    """An error about one field."""
    violation = FieldViolation(field=field, description=description)
    return Fault(reason, f"{field}: {description}", metadata, [violation])


def check(
    message: Message, reason: ErrorReason.ValueType, prefix: Sequence[FieldPathElement] = ()
) -> None:
    """Raises a Fault where a message breaks a rule of its schema. Paths begin with the
    prefix, which leads from the request to the message."""
    violations = [violation.proto for violation in validator.collect_violations(message)]
    if not violations:
        return
    violations = violations[:MAX_VIOLATIONS]
    fields = []
    for violation in violations:
        elements = [*prefix, *violation.field.elements]
        del violation.field.elements[:]
        violation.field.elements.extend(elements)
        fields.append(
            FieldViolation(
                field=path(elements), description=violation.message, rule_id=violation.rule_id
            )
        )
    text = "; ".join(f"{field.field}: {field.description}" for field in fields[:3])
    raise Fault(reason, text, fields=fields, violations=violations)


def path(elements: Sequence[FieldPathElement]) -> str:
    """A path as text: `events[0].attributes["a"]`."""
    return ".".join(element.field_name + subscript(element) for element in elements)


def subscript(element: FieldPathElement) -> str:
    """The index or key behind the name of a field, if it has one."""
    match element.WhichOneof("subscript"):
        case None:
            return ""
        case "string_key":
            return f"[{json.dumps(element.string_key, ensure_ascii=False)}]"
        case "bool_key":
            return f"[{str(element.bool_key).lower()}]"
        case kind:
            return f"[{getattr(element, kind)}]"
