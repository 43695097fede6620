<?php

declare(strict_types=1);

namespace Interop;

use Google\Protobuf\Internal\Message;
use RuntimeException;

/** The end of a call that failed, with one of the codes of the Connect protocol. */
final class ConnectException extends RuntimeException
{
    /** @param list<array{type: string, value: string}> $details */
    public function __construct(public readonly string $status, string $message, private readonly array $details = [])
    {
        parent::__construct("$status: $message");
    }

    /** @param ?array $error an error of the protocol, in JSON */
    public static function fromJson(?array $error): self
    {
        return new self($error['code'] ?? 'unknown', $error['message'] ?? '', $error['details'] ?? []);
    }

    /**
     * Returns the detail of a type, or an empty one if there is none.
     *
     * @template T of Message
     * @param class-string<T> $type
     * @return T
     */
    public function detail(string $name, string $type): Message
    {
        $message = new $type();
        foreach ($this->details as $detail) {
            if ($detail['type'] === $name) {
                $message->mergeFromString(base64_decode($detail['value']));
            }
        }
        return $message;
    }
}
