<?php

// The client in PHP, over Connect with curl. README.md in the directory above says
// what it does.

declare(strict_types=1);

use Interop\Scenario;

// The runtime was written for an older PHP, which didn't mind its undeclared properties.
error_reporting(E_ALL & ~E_DEPRECATED);
ini_set('display_errors', 'stderr');

set_include_path(__DIR__ . '/build/php' . PATH_SEPARATOR . get_include_path());
spl_autoload_register(static function (string $class): void {
    $file = str_replace('\\', '/', preg_replace('/^Interop\\\\/', __DIR__ . '/src/', $class)) . '.php';
    if (($path = stream_resolve_include_path($file)) !== false) {
        require_once $path;
    }
});

exit(Scenario::fromEnvironment()->run() ? 0 : 1);
