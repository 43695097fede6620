<?php

declare(strict_types=1);

namespace Interop;

use Google\Protobuf\Internal\Message;
use RuntimeException;

/** Writes golden vectors again. */
final class Golden
{
    public function __construct(private readonly string $directory, private readonly string $out)
    {
    }

    public function copy(): void
    {
        $paths = glob("$this->directory/*.binpb");
        if ($paths === false || $paths === []) {
            throw new RuntimeException("there are no vectors in $this->directory");
        }
        foreach ($paths as $path) {
            // LABEL-NAME, with the full name of the message.
            [, $name] = explode('-', basename($path, '.binpb'), 2);
            $message = self::messageNamed($name);
            $message->mergeFromString(file_get_contents($path));
            file_put_contents("$this->out/" . basename($path), $message->serializeToString());
        }
    }

    private static function messageNamed(string $name): Message
    {
        // A class is called after its message, with the first letters as capitals.
        $class = str_replace('.', '\\', ucwords($name, '.'));
        return new $class();
    }
}
