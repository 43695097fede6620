<?php

declare(strict_types=1);

namespace Interop;

use DateTimeImmutable;
use Google\Protobuf\Any;
use Google\Protobuf\Duration;
use Google\Protobuf\Int64Value;
use Google\Protobuf\Internal\Message;
use Google\Protobuf\Struct;
use Google\Protobuf\Timestamp;
use Tidings\Conformance\V1\Colour;
use Tidings\Conformance\V1\EveryKind;
use Tidings\Conformance\V1\Part;

/**
 * The values that are published. values/*.json in the directory above says what
 * they are.
 */
final class Values
{
    private const INT32_MAX = 2 ** 31 - 1;
    private const INT32_MIN = -2 ** 31;
    private const UINT32_MAX = 2 ** 32 - 1;
    /** PHP has no integers of 64 bits without sign: the number is that with the same bits. */
    private const UINT64_MAX = -1;
    /** The highest float of 32 bits; PHP's own have 64. */
    private const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127;

    /** @return list<EveryKind> in the order in which they are published */
    public static function all(): array
    {
        return [self::full(), self::max(), self::min(), self::empty(), self::unicode()];
    }

    public static function full(): EveryKind
    {
        $object = new Struct();
        $object->mergeFromJsonString('{"list": [1, "two", null, true], "nested": {"key": "value"}}');
        return new EveryKind([
            'name' => 'full', 'email' => 'ada@example.com',
            'double_value' => 1.5, 'float_value' => -2.25,
            'int32_value' => -32, 'int64_value' => -64, 'uint32_value' => 32, 'uint64_value' => 64,
            'sint32_value' => -320, 'sint64_value' => -640,
            'fixed32_value' => 3200, 'fixed64_value' => 6400, 'sfixed32_value' => -3200, 'sfixed64_value' => -6400,
            'bool_value' => true, 'string_value' => 'text', 'bytes_value' => "\x00\x01\x02\xFF",
            'colour' => Colour::COLOUR_GREEN,
            'optional_number' => 7, 'optional_text' => 'there',
            'part' => new Part([
                'label' => 'outer', 'count' => 1, 'parts' => [new Part(['label' => 'inner', 'count' => 2])],
            ]),
            'numbers' => [1, -2, 3], 'texts' => ['one', 'two'],
            'parts' => [new Part(['label' => 'first']), new Part(['label' => 'second', 'count' => 2])],
            'colours' => [Colour::COLOUR_RED, Colour::COLOUR_INFRARED],
            'texts_by_text' => ['a' => '1', 'b' => '2'],
            'parts_by_number' => [1 => new Part(['label' => 'one']), -1 => new Part(['label' => 'minus one'])],
            'numbers_by_truth' => [true => 1, false => 0],
            'chosen_part' => new Part(['label' => 'chosen']),
            'timestamp' => self::timestamp('2026-11-22T12:34:56Z', 789_012_345),
            'duration' => new Duration(['seconds' => -1, 'nanos' => -500_000_000]),
            'wrapped_number' => new Int64Value(['value' => 0]),
            'object' => $object,
            'any' => self::any(new Part(['label' => 'any', 'count' => 3])),
        ]);
    }

    public static function max(): EveryKind
    {
        return new EveryKind([
            'name' => 'max',
            'double_value' => PHP_FLOAT_MAX, 'float_value' => self::FLOAT32_MAX,
            'int32_value' => self::INT32_MAX, 'int64_value' => PHP_INT_MAX,
            'uint32_value' => self::UINT32_MAX, 'uint64_value' => self::UINT64_MAX,
            'sint32_value' => self::INT32_MAX, 'sint64_value' => PHP_INT_MAX,
            'fixed32_value' => self::UINT32_MAX, 'fixed64_value' => self::UINT64_MAX,
            'sfixed32_value' => self::INT32_MAX, 'sfixed64_value' => PHP_INT_MAX,
            'optional_number' => self::INT32_MAX,
            'numbers' => [PHP_INT_MAX, 2 ** 53 + 1],
            'parts_by_number' => [PHP_INT_MAX => new Part(['label' => 'max', 'count' => self::INT32_MAX])],
            'chosen_number' => PHP_INT_MAX,
            'timestamp' => self::timestamp('9999-12-31T23:59:59Z', 999_999_999),
            'duration' => new Duration(['seconds' => 315_576_000_000]),
            'wrapped_number' => new Int64Value(['value' => PHP_INT_MAX]),
        ]);
    }

    public static function min(): EveryKind
    {
        return new EveryKind([
            'name' => 'min',
            // The smallest above 0.
            'double_value' => 5e-324, 'float_value' => -self::FLOAT32_MAX,
            'int32_value' => self::INT32_MIN, 'int64_value' => PHP_INT_MIN,
            'sint32_value' => self::INT32_MIN, 'sint64_value' => PHP_INT_MIN,
            'sfixed32_value' => self::INT32_MIN, 'sfixed64_value' => PHP_INT_MIN,
            'optional_number' => self::INT32_MIN,
            'numbers' => [PHP_INT_MIN, -(2 ** 53 + 1)],
            'parts_by_number' => [PHP_INT_MIN => new Part(['label' => 'min', 'count' => self::INT32_MIN])],
            'chosen_number' => PHP_INT_MIN,
            'timestamp' => self::timestamp('0001-01-01T00:00:00Z', 0),
            'duration' => new Duration(['seconds' => -315_576_000_000]),
            'wrapped_number' => new Int64Value(['value' => PHP_INT_MIN]),
        ]);
    }

    /** What is there and empty. */
    public static function empty(): EveryKind
    {
        return new EveryKind([
            'name' => 'empty',
            'optional_number' => 0, 'optional_text' => '',
            'part' => new Part(), 'parts' => [new Part()], 'texts' => [''],
            'chosen_text' => '',
            'wrapped_number' => new Int64Value(['value' => 0]),
            'object' => new Struct(),
        ]);
    }

    public static function unicode(): EveryKind
    {
        return new EveryKind([
            'name' => 'unicode',
            'string_value' => "Grüße, 世界, עולם, 🌍, e\u{301}, \"\\/\n",
            'texts' => ['🇪🇺', "\u{feff}", "\u{2028}", "👩\u{200d}👩\u{200d}👧"],
            'texts_by_text' => ['ключ' => 'значение', '鍵' => '値'],
            'chosen_text' => '𝔘𝔫𝔦𝔠𝔬𝔡𝔢',
            'bytes_value' => "\xC3\xBF\xF0\x9F\x8C\x8D",
        ]);
    }

    public static function any(Message $message): Any
    {
        $any = new Any();
        $any->pack($message);
        return $any;
    }

    private static function timestamp(string $seconds, int $nanos): Timestamp
    {
        return new Timestamp(['seconds' => (new DateTimeImmutable($seconds))->getTimestamp(), 'nanos' => $nanos]);
    }
}
