// Calls of grpc-js as promises, and what their errors hold.
import {
  type CallOptions,
  type ClientReadableStream,
  type ClientUnaryCall,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { BadRequest, ErrorInfo } from "../generated/google/rpc/error_details.js";
import { Status } from "../generated/google/rpc/status.js";

/** How long a call may take where it says nothing else, in milliseconds. */
const patience = 10_000;

export function within(milliseconds = patience): { deadline: number } {
  return { deadline: Date.now() + milliseconds };
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** Calls a method, which has to be bound to its client. */
export function unary<Request, Response>(
  method: UnaryMethod<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method(request, new Metadata(), within(), (error, response) => {
      if (error) {
        reject(error);
      } else {
        resolve(response);
      }
    });
  });
}

/** Takes the responses of a call. Where that fails, the call is given up. */
export async function drain<Response>(
  call: ClientReadableStream<Response>,
  take: (response: Response) => void | Promise<void>,
): Promise<void> {
  try {
    for await (const response of call) {
      await take(response as Response);
    }
  } finally {
    call.cancel();
  }
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error;
}

/** The reasons and the fields in the details of an error. */
export function details(error: ServiceError): { reasons: string[]; fields: string[] } {
  const reasons: string[] = [];
  const fields: string[] = [];
  for (const encoded of error.metadata.get("grpc-status-details-bin")) {
    for (const { typeUrl, value } of Status.decode(encoded as Buffer).details) {
      if (typeUrl.endsWith("/google.rpc.ErrorInfo")) {
        reasons.push(ErrorInfo.decode(value).reason);
      } else if (typeUrl.endsWith("/google.rpc.BadRequest")) {
        fields.push(...BadRequest.decode(value).fieldViolations.map(({ field }) => field));
      }
    }
  }
  return { reasons, fields };
}
