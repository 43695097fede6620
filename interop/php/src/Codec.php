<?php

declare(strict_types=1);

namespace Interop;

use Google\Protobuf\Internal\Message;

/** How messages are written; the value is the end of their content type. */
enum Codec: string
{
    case Binary = 'proto';
    case Json = 'json';

    public function encode(Message $message): string
    {
        return match ($this) {
            self::Binary => $message->serializeToString(),
            self::Json => $message->serializeToJsonString(),
        };
    }

    /**
     * @template T of Message
     * @param class-string<T> $type
     * @return T
     */
    public function decode(string $data, string $type): Message
    {
        $message = new $type();
        match ($this) {
            self::Binary => $message->mergeFromString($data),
            self::Json => $message->mergeFromJsonString($data),
        };
        return $message;
    }
}
