// Errors of the contract's catalogue.
import { create, type DescMessage, getOption, type MessageShape } from "@bufbuild/protobuf";
import { type Path, pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, Violation, violationsToProto } from "@bufbuild/protovalidate";
import { type Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@example/tidings/google/rpc";
import {
  type ErrorDetail,
  ErrorDetailSchema,
  ErrorReason,
  ErrorReasonSchema,
  error as errorOptions,
  type StatusCode,
} from "@example/tidings/v1";

/** What is said of one request. */
const maxViolations = 100;

type FieldViolation = { field: string; description: string; ruleId?: string };

type Parts = {
  metadata?: Record<string, string>;
  fields?: FieldViolation[];
  /** The same as protovalidate has them. */
  violations?: Violation[];
};

/** An error of the catalogue, as the end of a call. */
export class Fault extends ConnectError {
  constructor(
    readonly reason: ErrorReason,
    message: string,
    readonly parts: Parts = {},
  ) {
    // The contract's codes are those of gRPC, and so are Connect's.
    super(message, codeOf(reason) as number as Code);
    const { metadata = {}, fields = [], violations = [] } = parts;
    const info = { reason: ErrorReason[reason], domain: "tidings", metadata };
    this.details.push({ desc: ErrorInfoSchema, value: info });
    if (fields.length > 0) {
      const fieldViolations = fields.map(({ ruleId, ...rest }) => ({ ...rest, reason: ruleId }));
      this.details.push({ desc: BadRequestSchema, value: { fieldViolations } });
    }
    if (violations.length > 0) {
      const [value, desc] = violationsToProto(violations);
      this.details.push({ desc, value });
    }
  }

  /** The error as a part of a response. */
  toMessage(): ErrorDetail {
    return create(ErrorDetailSchema, {
      reason: this.reason,
      code: codeOf(this.reason),
      message: this.rawMessage,
      metadata: this.parts.metadata,
      fieldViolations: this.parts.fields,
    });
  }

  /** The same with more metadata. */
  with(metadata: Record<string, string>): Fault {
    const all = { ...this.parts.metadata, ...metadata };
    return new Fault(this.reason, this.rawMessage, { ...this.parts, metadata: all });
  }
}

function codeOf(reason: ErrorReason): StatusCode {
  const value = ErrorReasonSchema.values.find(({ number }) => number === reason);
  if (!value) {
    throw new Error(`${reason} is not in the catalogue`);
  }
  return getOption(value, errorOptions).code;
}

/** An error about one field. */
export function aboutField(
  reason: ErrorReason,
  field: string,
  description: string,
  metadata?: Record<string, string>,
): Fault {
  return new Fault(reason, `${field}: ${description}`, {
    metadata,
    fields: [{ field, description }],
  });
}

/** An error about the rules that a request breaks. */
export function aboutRules(reason: ErrorReason, all: Violation[]): Fault {
  const violations = all.slice(0, maxViolations);
  const fields = violations.map(({ field, message, ruleId }) => ({
    field: pathToString(field),
    description: message,
    ruleId,
  }));
  const text = fields.slice(0, 3).map(({ field, description }) => `${field}: ${description}`);
  return new Fault(reason, text.join("; "), { fields, violations });
}

const validator = createValidator();

/** The rules that a message breaks. Paths begin with the prefix, which leads to the message. */
export function violationsOf<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  prefix: Path = [],
): Violation[] {
  const result = validator.validate(schema, message);
  if (result.kind === "error") {
    throw result.error;
  }
  return (result.violations ?? []).map(
    ({ message, ruleId, field, rule, forKey }) =>
      new Violation(message, ruleId, [...prefix, ...field], rule, forKey),
  );
}

/** Throws where a request breaks a rule. */
export function check<Desc extends DescMessage>(schema: Desc, request: MessageShape<Desc>): void {
  const violations = violationsOf(schema, request);
  if (violations.length > 0) {
    throw aboutRules(ErrorReason.REQUEST_INVALID, violations);
  }
}
