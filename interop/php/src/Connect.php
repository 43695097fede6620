<?php

declare(strict_types=1);

namespace Interop;

use CurlHandle;
use Google\Protobuf\Internal\Message;
use Throwable;

/** Calls over the Connect protocol: https://connectrpc.com/docs/protocol/ */
final class Connect
{
    private const END_OF_STREAM = 2;

    /** How many seconds a call may take. */
    private const PATIENCE = 10;

    private readonly CurlHandle $unary;

    public function __construct(private readonly string $url, private readonly Codec $codec)
    {
        // Kept, because it keeps the connection.
        $this->unary = curl_init();
    }

    /**
     * Makes a unary call, to a method such as tidings.v1.TopicService/GetTopic.
     *
     * @template T of Message
     * @param class-string<T> $responseType
     * @return T
     * @throws ConnectException
     */
    public function call(string $method, Message $request, string $responseType): Message
    {
        $this->prepare($this->unary, $method, $this->codec->value, $this->codec->encode($request), self::PATIENCE);
        curl_setopt($this->unary, CURLOPT_RETURNTRANSFER, true);
        $body = curl_exec($this->unary);
        if ($body === false) {
            throw self::transportError($this->unary);
        }
        if (curl_getinfo($this->unary, CURLINFO_RESPONSE_CODE) !== 200) {
            throw ConnectException::fromJson(json_decode($body, true));
        }
        return $this->codec->decode($body, $responseType);
    }

    /**
     * Makes a call with a stream of responses. $take gets each and cancels the call
     * by returning false.
     *
     * @template T of Message
     * @param class-string<T> $responseType
     * @param callable(T): bool $take
     * @throws ConnectException
     */
    public function stream(
        string $method,
        Message $request,
        string $responseType,
        callable $take,
        float $timeout = self::PATIENCE,
    ): void {
        $curl = curl_init();
        $message = $this->codec->encode($request);
        $body = pack('CN', 0, strlen($message)) . $message;
        $this->prepare($curl, $method, 'connect+' . $this->codec->value, $body, $timeout);
        $buffer = '';
        $end = null;
        $failure = null;
        $write = function ($curl, string $chunk) use (&$buffer, &$end, &$failure, $responseType, $take): int {
            $buffer .= $chunk;
            if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
                return strlen($chunk);
            }
            try {
                while ([$flags, $data] = self::cutEnvelope($buffer)) {
                    if ($flags & self::END_OF_STREAM) {
                        $end = json_decode($data, true);
                    } elseif (!$take($this->codec->decode($data, $responseType))) {
                        return -1;
                    }
                }
            } catch (Throwable $e) {
                // curl would go on.
                $failure = $e;
                return -1;
            }
            return strlen($chunk);
        };
        curl_setopt($curl, CURLOPT_WRITEFUNCTION, $write);
        if (!curl_exec($curl)) {
            throw $failure ?? self::transportError($curl);
        }
        if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
            throw ConnectException::fromJson(json_decode($buffer, true));
        }
        if ($end === null) {
            throw new ConnectException('unknown', 'the stream broke off');
        }
        if (isset($end['error'])) {
            throw ConnectException::fromJson($end['error']);
        }
    }

    private function prepare(CurlHandle $curl, string $method, string $contentType, string $body, float $timeout): void
    {
        $milliseconds = (int) ($timeout * 1000);
        curl_reset($curl);
        curl_setopt_array($curl, [
            CURLOPT_URL => "$this->url/$method",
            CURLOPT_HTTPHEADER => [
                "Content-Type: application/$contentType",
                'Connect-Protocol-Version: 1',
                "Connect-Timeout-Ms: $milliseconds",
            ],
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_TIMEOUT_MS => $milliseconds,
        ]);
    }

    /**
     * Takes the first message off a buffer, if it is complete.
     *
     * @return ?array{int, string} the flags and the message
     */
    private static function cutEnvelope(string &$buffer): ?array
    {
        if (strlen($buffer) < 5) {
            return null;
        }
        ['flags' => $flags, 'length' => $length] = unpack('Cflags/Nlength', $buffer);
        if (strlen($buffer) < 5 + $length) {
            return null;
        }
        $data = substr($buffer, 5, $length);
        $buffer = substr($buffer, 5 + $length);
        return [$flags, $data];
    }

    private static function transportError(CurlHandle $curl): ConnectException
    {
        $status = match (curl_errno($curl)) {
            CURLE_OPERATION_TIMEDOUT => 'deadline_exceeded',
            CURLE_WRITE_ERROR => 'canceled',
            default => 'unavailable',
        };
        return new ConnectException($status, curl_error($curl));
    }
}
